# SPDX-License-Identifier: Apache-2.0
"""From errors to faults: the one place that knows which error is which HTTP status.

Each API family then writes a fault in its own words.
"""

from __future__ import annotations

import dataclasses
import logging

from stackyard.model import errors

LOG = logging.getLogger(__name__)

STATUS: dict[type[errors.StackyardError], int] = {
    errors.BadInput: 400,
    errors.Unauthenticated: 401,
    errors.QuotaExceeded: 403,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.Retry: 503,
    errors.GiveUp: 500,
}
LONGEST = 2000


@dataclasses.dataclass(frozen=True)
class Fault:
    """What went wrong. `versions` is given when the asked microversion is out of this range (lowest, highest)."""

    status: int
    message: str = ""
    versions: tuple[str, str] | None = None


def of(error: Exception, request_id: str) -> Fault:
    """Return the fault of an error; what is not ours is logged and told without details."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return Fault(STATUS[kind], str(error)[:LONGEST])
    LOG.error("request %s failed", request_id, exc_info=error)
    return Fault(500, f"Something went wrong here. The log tells more under request {request_id}")
