# SPDX-License-Identifier: Apache-2.0
"""Backups as they are shown."""

from __future__ import annotations

from stackyard.api.application_deployment.views.form import View, moment, time_of
from stackyard.api.call import Call
from stackyard.model.backups import Backup, Wish
from stackyard.model.phase import Phase

STATUSES = {
    Phase.CREATING: "CREATING",
    Phase.READY: "AVAILABLE",
    Phase.DELETING: "DELETING",
}
WISHES = {Wish.VERIFY: "VERIFYING", Wish.RESTORE: "RESTORING"}


def status(backup: Backup) -> str:
    """Return the word for what a backup is or what is being done with it."""
    if backup.phase is Phase.UPDATING:
        return WISHES.get(backup.wish, "AVAILABLE")
    return STATUSES.get(backup.phase, "ERROR")


def backup(call: Call, of: Backup) -> View:
    """Return a backup as it is shown; sizes are bytes, `moved` those that the step under way has carried."""
    seen = of.observed
    return {
        "uuid": of.id,
        "uri": f"{call.url}/v1/apps/{of.app_id}/backups/{of.id}",
        "number": of.number,
        "environment": of.environment,
        "service": of.service,
        "form": of.form.value,
        "cause": of.cause.value,
        "release": of.release,
        "status": status(of),
        "status_reason": of.status_reason,
        "moved": of.moved,
        "size": seen.size if of.made else None,
        "stored": seen.stored if of.made else None,
        "sha256": seen.digest or None,
        "location": "platform" if of.made else None,
        "seconds": round(seen.ended_at - seen.started_at, 3) if seen.ended_at else None,
        "verified_at": moment(seen.verified_at),
        "flaw": seen.flaw or None,
        "restored_at": moment(seen.restored_at),
        "created_at": time_of(of.created_at),
    }
