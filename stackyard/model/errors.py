# SPDX-License-Identifier: Apache-2.0
"""Every error of the product, in one tree.

    StackyardError
    ├── BadInput            the caller must change the request        (400)
    ├── Unauthenticated     no valid token                            (401)
    ├── Forbidden           policy says no                            (403)
    │   └── QuotaExceeded   the project's quota is used up            (403)
    ├── NotFound            absent, or another project's              (404)
    ├── Conflict            the object's state does not allow it      (409)
    ├── TooLarge            a body or an archive beyond its limit     (413)
    ├── Unavailable         a part of the platform does not answer    (503)
    ├── Fenced              a save by a worker that lost its lease
    ├── Retry               look again later (worker control flow)
    └── GiveUp              fail until the generation changes (worker control flow)

Raised everywhere; turned into HTTP only by `stackyard.api.faults`.
"""

from __future__ import annotations


class StackyardError(Exception):
    """Base of all errors; the message names the cause and, where there is one, the cure."""


class BadInput(StackyardError):
    """The request or file is wrong as it stands."""


class Unauthenticated(StackyardError):
    """The caller has not proved who it is."""


class Forbidden(StackyardError):
    """The caller is known and may not do this."""


class QuotaExceeded(Forbidden):
    """The project has used up what it may have."""


class NotFound(StackyardError):
    """There is no such thing that this caller may know of."""


class Conflict(StackyardError):
    """The thing exists, but not in a state that allows this."""


class TooLarge(StackyardError):
    """A body, an archive or a file goes beyond its limit."""


class Unavailable(StackyardError):
    """A part of the platform (engine, registry, router) does not answer."""


class Fenced(StackyardError):
    """Another worker has taken this row over; what was in hand must not be saved."""


class Retry(StackyardError):
    """Not yet: look again `after` seconds from now (back-off grows when `after` is None)."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class GiveUp(StackyardError):
    """This generation can't be reached; the message becomes the object's status_reason."""
