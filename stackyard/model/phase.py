# SPDX-License-Identifier: Apache-2.0
"""The one phase table: what state an object is in, and what may happen to it there.

Foreign APIs' words (CREATE_IN_PROGRESS, BUILDING, …) are derived from these in that API's `views.py`.
"""

from __future__ import annotations

import enum

from stackyard.model import errors


class Phase(enum.StrEnum):
    """Where an object stands between what was asked and what is."""

    CREATING = "creating"
    READY = "ready"
    UPDATING = "updating"
    DELETING = "deleting"
    CREATE_FAILED = "create_failed"
    UPDATE_FAILED = "update_failed"
    DELETE_FAILED = "delete_failed"
    GONE = "gone"


class Trigger(enum.StrEnum):
    """What can happen to an object."""

    CHANGE = "change"
    DELETE = "delete"
    REACHED = "reached"
    GAVE_UP = "gave_up"


_C, _R, _U, _D = Phase.CREATING, Phase.READY, Phase.UPDATING, Phase.DELETING
_CF, _UF, _DF = Phase.CREATE_FAILED, Phase.UPDATE_FAILED, Phase.DELETE_FAILED

TRANSITIONS: dict[tuple[Phase, Trigger], Phase] = {
    (_C, Trigger.REACHED): _R,  # the first look with an empty plan
    (_C, Trigger.GAVE_UP): _CF,  # deadline passed or the driver gave up
    (_C, Trigger.DELETE): _D,  # a half-made object can always be deleted
    (_C, Trigger.CHANGE): _C,  # the worker simply plans for the newest intent
    (_R, Trigger.CHANGE): _U,  # the user changed the intent
    (_R, Trigger.REACHED): _R,  # a periodic look found nothing to do
    (_R, Trigger.GAVE_UP): _UF,  # a release that was ready failed so soon that the one before it serves again
    (_R, Trigger.DELETE): _D,
    (_U, Trigger.CHANGE): _U,
    (_U, Trigger.REACHED): _R,
    (_U, Trigger.GAVE_UP): _UF,
    (_U, Trigger.DELETE): _D,
    (_CF, Trigger.CHANGE): _C,  # every failure can be retried
    (_CF, Trigger.DELETE): _D,
    (_UF, Trigger.CHANGE): _U,
    (_UF, Trigger.DELETE): _D,
    (_UF, Trigger.REACHED): _UF,  # reality was restored; the failed wish stays visible
    (_UF, Trigger.GAVE_UP): _UF,  # what was gone back to had not been proved either
    (_D, Trigger.DELETE): _D,  # asking twice is fine
    (_D, Trigger.REACHED): Phase.GONE,  # nothing is left: the row goes too
    (_D, Trigger.GAVE_UP): _DF,
    (_DF, Trigger.DELETE): _D,
}

IN_PROGRESS = frozenset({_C, _U, _D})
FAILED = frozenset({_CF, _UF, _DF})
ENDING = frozenset({_D, _DF})
"""What goes is not kept because it once took too long."""


def after(phase: Phase, trigger: Trigger) -> Phase:
    """Return the next phase; raises Conflict when the table has no such transition."""
    try:
        return TRANSITIONS[phase, trigger]
    except KeyError:
        raise errors.Conflict(f"{trigger.value} is not possible while {phase.value}") from None
