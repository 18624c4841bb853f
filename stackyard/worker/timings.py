# SPDX-License-Identifier: Apache-2.0
"""How long the phases of a push took, as people call them. Called by the noun build."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

from stackyard.model.applications import Release
from stackyard.model.builds import Build, Step
from stackyard.model.records import Event, utcnow
from stackyard.worker.reconciler import Change


def deployed(release: Release, events: Sequence[Event]) -> Iterator[tuple[str, float]]:
    """Yield how long a release took until it was ready, and then until it alone was routed to."""
    own = [event for event in events if event.at >= release.created_at]
    words = f"release {release.number} serves"
    served = next((event.at for event in own if event.kind == "serving" and event.message == words), None)
    end = served or utcnow()
    routed = [event.at for event in own if event.kind == "routed" and event.at <= end]
    ready = routed[0] if routed else end
    staged = _staged([event for event in own if event.at <= end], ready)
    if staged:
        yield "stage", staged
    yield "health", (ready - release.created_at).total_seconds() - staged
    yield "switch", (end - ready).total_seconds()
    yield Step.DEPLOY.value, (end - release.created_at).total_seconds()


def _staged(events: Sequence[Event], ready: datetime.datetime) -> float:
    """Return how many seconds the release stage took: from its first job until something else was begun."""
    asked = [event.at for event in events if event.kind == "staging"]
    if not asked:
        return 0.0
    after = [event.at for event in events if event.kind == "started" and event.at > asked[-1]]
    return ((after[0] if after else ready) - asked[0]).total_seconds()


def timed(change: Change[Build], phase: str, seconds: float) -> Change[Build]:
    """Add what an action took to the seconds of what people call it."""
    observed = change.record.observed
    spent = {**observed.seconds, phase: round(observed.seconds.get(phase, 0) + seconds, 3)}
    timed = dataclasses.replace(change.record, observed=dataclasses.replace(observed, seconds=spent))
    return dataclasses.replace(change, record=timed)
