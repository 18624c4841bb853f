# SPDX-License-Identifier: Apache-2.0
"""Schedules in the five fields of cron, in UTC: when they are due. Called when sources are read, and by the worker.

The library knows the language; here is what a person is told of a wrong one.
"""

from __future__ import annotations

import datetime

from cronsim import CronSim, CronSimError

from stackyard.model import errors

FIELDS = "minute, hour, day of month, month, day of week"
EXAMPLE = '"30 3 * * *" for every day at 3:30 UTC'
A_DAY = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def check(text: str, where: str) -> str:
    """Return the schedule with single blanks; raises BadInput that says where and what is wrong."""
    schedule = " ".join(text.split())
    if schedule.startswith("@"):
        raise errors.BadInput(f"{where}: {text[:60]!r} is no schedule here; write its five fields, {EXAMPLE}")
    if len(schedule.split()) != 5:
        raise errors.BadInput(f"{where}: {text[:60]!r} must have five fields ({FIELDS}); write for example {EXAMPLE}")
    try:
        after(schedule, A_DAY)
    except CronSimError as error:
        wrong = str(error).lower().replace("bad ", "there is no such ")
        raise errors.BadInput(f"{where}: {text[:60]!r} is no schedule ({wrong}); write for example {EXAMPLE}") from None
    except StopIteration:
        raise errors.BadInput(f"{where}: {text[:60]!r} names a day that never comes") from None
    return schedule


def after(schedule: str, moment: datetime.datetime) -> datetime.datetime:
    """Return the first time after a moment at which the schedule is due."""
    return next(CronSim(schedule, moment))


def newest(schedule: str, moment: datetime.datetime) -> datetime.datetime:
    """Return the last time up to a moment at which the schedule was due."""
    return next(CronSim(schedule, moment + datetime.timedelta(microseconds=1), reverse=True))
