# SPDX-License-Identifier: Apache-2.0
"""When a service of a Compose file runs: `x-stackyard: {stage: release}` (and others) or `{cron: "..."}`.

Called by `compose`; raises only BadInput.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.drivers import schedules
from stackyard.model import errors
from stackyard.model.applications import Service, Stage

STAGES = tuple(stage.value for stage in Stage if stage is not Stage.CRON)
CHANGED = "changed"


def stage(asked: Mapping[str, Any], service: str) -> tuple[Stage, str]:
    """Return when a service runs, and its schedule where it has one; `asked` is its `x-stackyard`."""
    where = f"x-stackyard.%s of service {service!r}"
    if "cron" in asked:
        if "stage" in asked:
            raise errors.BadInput(f"{where % 'cron'} stands beside stage; a service has one of them")
        if not isinstance(asked["cron"], str):
            raise errors.BadInput(f"{where % 'cron'} must be a string; write for example {schedules.EXAMPLE}")
        return Stage.CRON, schedules.check(asked["cron"], where % "cron")
    named = asked.get("stage", Stage.RUN.value)
    if named not in STAGES:
        cure = '; for a schedule write {cron: "30 3 * * *"}' if named == Stage.CRON.value else ""
        raise errors.BadInput(f"{where % 'stage'} must be one of {', '.join(STAGES)}, not {str(named)[:60]!r}{cure}")
    return Stage(named), ""


def again(asked: Mapping[str, Any], of: Stage, service: str) -> bool:
    """Tell whether a service of stage init runs anew when it has changed: `{stage: init, again: changed}`."""
    if "again" not in asked:
        return False
    if of is not Stage.INIT or asked["again"] != CHANGED:
        raise errors.BadInput(
            f"x-stackyard.again of service {service!r} must be {CHANGED!r}, and stands beside 'stage: init' only"
        )
    return True


def check(services: Mapping[str, Service]) -> None:
    """Raise for services that wait for what does not go on running."""
    for service in services.values():
        for name in service.depends_on:
            if name in services and services[name].stage is not Stage.RUN:
                raise errors.BadInput(
                    f"service {service.name!r} depends_on {name!r}, which does not go on running; remove that: a"
                    " stage's place in the order of things is its own"
                )
