# SPDX-License-Identifier: Apache-2.0
"""Backups that a schedule asks for. Called by `cron`, which knows when."""

from __future__ import annotations

import dataclasses
import datetime
import time

from stackyard.intents.rules import within
from stackyard.model.applications import Deployment
from stackyard.model.backups import Backup, BackupObserved, Cause, Form, schedule_id
from stackyard.model.phase import Phase
from stackyard.store import Transaction


def make(
    tx: Transaction, of: Deployment, service: str, form: Form, due: datetime.datetime, seconds: float
) -> Backup | None:
    """Write the backup of a service for the time that is due, once whoever comes to it; return it where it is new.

    While another one of the service is being worked on, it is written as one that failed. Raises Conflict when its
    number was taken at this moment.
    """
    ident = schedule_id(of.id, service, int(due.timestamp()) // 60)
    if tx.backups.known(ident):
        return None
    made = Backup(
        id=ident,
        project_id=of.project_id,
        name=f"{service} of {due:%Y-%m-%d %H:%M}",
        app_id=of.app_id,
        number=tx.backups.next_number(of.app_id),
        environment=of.environment,
        service=service,
        form=form,
        cause=Cause.SCHEDULE,
        release=of.serving,
        deadline=within(seconds),
    )
    busy = tx.backups.busy(of.app_id, of.environment, service)
    return tx.backups.insert(_skipped(made, busy) if busy else made)


def _skipped(made: Backup, busy: Backup) -> Backup:
    reason = f"skipped: backup {busy.number} of it was still being worked on"
    over = BackupObserved(started_at=time.time(), ended_at=time.time())
    return dataclasses.replace(made, phase=Phase.CREATE_FAILED, status_reason=reason, deadline=None, observed=over)
