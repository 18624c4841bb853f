# SPDX-License-Identifier: Apache-2.0
"""Tokens of other Keystones than the platform's own: those that run as applications and are trusted.

Called by `pipeline`. Who comes from there is no administrator of the platform, whatever they are at home.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stackyard.api.cache import TokenCache
from stackyard.model.trusts import Trust

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Wrap = Callable[[WSGI], WSGI]
Opened = Callable[[], Sequence[tuple[Trust, str]]]
"""Returns all trusts, each with its password."""
Guard = Callable[[Trust, str], Wrap]
"""Makes what validates tokens at the Keystone of a trust."""

HOME = "stackyard.home"
"""In a request's environment: the id of the application whose Keystone vouches for it; missing: the platform's own."""
REACHED = "stackyard.reached"
FRESH_SECONDS = 5.0
_Key = tuple[Trust, str]


class Trusted:
    """The guards of all trusts, made anew where one has changed."""

    def __init__(self, opened: Opened, guard: Guard, app: WSGI) -> None:
        self._opened = opened
        self._guard = guard
        self._app = app
        self._lock = threading.Lock()
        self._guards: Mapping[_Key, WSGI] = {}
        self._looked = float("-inf")

    def guards(self) -> Mapping[str, WSGI]:
        """Return what to ask, by the id of the application."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH_SECONDS:
                found = [(trust, password) for trust, password in self._opened()]
                self._guards = {key: self._guards.get(key) or self._made(key) for key in found}
                self._looked = time.monotonic()
            return {trust.app_id: guard for (trust, _), guard in self._guards.items()}

    def _made(self, key: _Key) -> WSGI:
        trust, password = key

        def marked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ[HOME] = trust.app_id
            return self._app(environ, start_response)

        return self._guard(trust, password)(marked)


def accepting(own: WSGI, trusted: Trusted) -> WSGI:
    """Return what asks the platform's own Keystone first, and those that are trusted about what that does not know."""
    homes = TokenCache()

    def accept(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        token = environ.get("HTTP_X_AUTH_TOKEN", "")
        others = trusted.guards() if token else {}
        if not others:
            return own(environ, start_response)
        key = hashlib.sha256(token.encode()).hexdigest()
        home = homes.get(key)
        if home in others:
            return others[home](environ, start_response)
        mine = _Attempt(start_response, environ, held="401")
        answer = own(environ, mine)
        if not mine.said:
            return answer
        for app_id, guard in others.items():
            theirs = _Attempt(start_response, environ, held="")  # one that does not answer knows nobody
            found = guard(environ, theirs)
            if not theirs.said:
                homes.set(key, app_id)
                return found
        start_response(*mine.said)
        return answer

    return accept


class _Attempt:
    """Starts a response, but holds back what a guard itself answers with a status that begins with `held`."""

    def __init__(self, start_response: Callable[..., Any], environ: Mapping[str, Any], held: str) -> None:
        self._start_response = start_response
        self._environ = environ
        self._held = held
        self.said: tuple[str, list[tuple[str, str]]] | None = None

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if self._environ.get(REACHED) or not status.startswith(self._held):
            return self._start_response(status, headers, exc_info)
        self.said = (status, headers)
        return lambda _: None
