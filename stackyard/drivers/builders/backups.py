# SPDX-License-Identifier: Apache-2.0
"""How services of a Compose file are backed up: `x-stackyard: {backup: {…}}`.

Called by `compose`; raises only BadInput.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackyard.drivers import schedules
from stackyard.drivers.builders.words import split
from stackyard.model import errors
from stackyard.model.applications import Service, Stage
from stackyard.model.backups import KEEP, BackupRule

COMMANDS = ("command", "restore", "check", "ready")
KEYS = (*COMMANDS, "schedule", "keep")
MOST = 365
EXAMPLE = 'write for example backup: {schedule: "0 3 * * *", keep: 7}'


def rule(asked: Mapping[str, Any], service: str) -> BackupRule | None:
    """Return how a service is backed up; None where it does not say; `asked` is its `x-stackyard`."""
    if "backup" not in asked:
        return None
    where, said = f"x-stackyard.backup of service {service!r}", asked["backup"]
    if said is None:
        return BackupRule()
    if not isinstance(said, dict):
        raise errors.BadInput(f"{where} must be a mapping; {EXAMPLE}")
    for key in said:
        if key not in KEYS:
            raise errors.BadInput(f"unknown key {str(key)[:60]!r} in {where}; it takes {', '.join(KEYS)}")
    words = {name: _words(said[name], f"{where}: {name}") for name in COMMANDS if said.get(name) is not None}
    return BackupRule(**words, schedule=_schedule(said, where), keep=_keep(said, where))


def check(services: Iterable[Service]) -> None:
    """Raise for services that could not be backed up, or not restored."""
    for service in services:
        if service.backup:
            _check(service, service.backup)


def _check(service: Service, asked: BackupRule) -> None:
    where = f"x-stackyard.backup of service {service.name!r}"
    if service.stage is not Stage.RUN:
        raise errors.BadInput(f"{where}: the service does not go on running; remove its stage, or the backup")
    if bool(asked.command) != bool(asked.restore):
        there, lacking = ("command", "restore") if asked.command else ("restore", "command")
        raise errors.BadInput(f"{where} has {there} without {lacking}; what one of them writes, the other reads")
    if not asked.command and service.group:
        raise errors.BadInput(f"{where}: a group's volumes are no backup of it; give command and restore")
    if not asked.command and not service.mounts:
        raise errors.BadInput(f"{where}: the service has no volumes to archive; give command and restore")


def _words(said: object, where: str) -> tuple[str, ...]:
    words = split(said, where) if isinstance(said, str) else said
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise errors.BadInput(f"{where} must be a command: a string or a list of strings")
    return tuple(words)


def _schedule(said: Mapping[str, Any], where: str) -> str:
    asked = said.get("schedule")
    if asked is None:
        return ""
    if not isinstance(asked, str):
        raise errors.BadInput(f"{where}: schedule must be a string; write for example {schedules.EXAMPLE}")
    return schedules.check(asked, f"{where}: schedule")


def _keep(said: Mapping[str, Any], where: str) -> int:
    asked = said.get("keep", KEEP)
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= MOST:
        raise errors.BadInput(f"{where}: keep must be a number from 1 to {MOST}")
    return asked
