# SPDX-License-Identifier: Apache-2.0
"""The buildpacks that an application is built by, whatever its source says: chosen with a push, kept until the next."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stackyard.model.applications import Application
from stackyard.model.buildpacks import names, shown
from stackyard.model.phase import Trigger
from stackyard.model.ports import Secrets
from stackyard.store import Transaction

Chosen = Sequence[str] | None
"""Git URLs (with #revision where wanted) in the order in which they build, none: no choice, None: as before."""


def changes(app: Application, chosen: Chosen) -> bool:
    """Tell whether a choice may be another than the application's; raises BadInput for what is no buildpack."""
    if chosen is None:
        return False
    wanted = _checked(chosen)
    return shown(wanted) != app.buildpacks or bool(_with_passwords(wanted) or app.sealed_buildpacks)


def choose(tx: Transaction, secrets: Secrets, app: Application, chosen: Chosen) -> Application:
    """Write the application's choice, if it is another; raises BadInput for what is no buildpack."""
    if chosen is None or not changes(app, chosen):
        return app
    wanted = _checked(chosen)
    sealed = secrets.seal(json.dumps(wanted)) if _with_passwords(wanted) else ""
    words = f"built by {', '.join(shown(wanted))}" if wanted else "built as its source says"
    return tx.applications.change(app, Trigger.CHANGE, words, buildpacks=shown(wanted), sealed_buildpacks=sealed)


def _checked(chosen: Sequence[str]) -> tuple[str, ...]:
    return names(chosen, "buildpacks") if chosen else ()


def _with_passwords(wanted: Sequence[str]) -> bool:
    return shown(wanted) != tuple(wanted)
