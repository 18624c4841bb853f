# SPDX-License-Identifier: Apache-2.0
"""Basic authentication for git, which can't send tokens: user and password become a token of Keystone's.

Called by `pipeline`, around the identity middleware, which then validates that token like any other; only for the
paths that git asks for. A user named `token` brings a token as password, as `stackyard git-credential` does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3
from oslo_config import cfg

from stackyard.model import errors

LOG = logging.getLogger(__name__)
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
SignIn = Callable[[str, str, str], str | None]
"""Takes user, password and the application named in the path; returns a token, None when refused.

Raises Conflict where the application's name means several, Unavailable while nobody can tell.
"""

TOKEN_USER = "token"  # noqa: S105
CACHE_SECONDS = 60.0
MAX_CACHED = 500
TIMEOUT_SECONDS = 10.0
REALM = (
    "WWW-Authenticate",
    'Basic realm="Stackyard: Keystone user and password, or user token and a token", charset="UTF-8"',
)
_PATH = re.compile(
    r"/application-deployment(?:/v1)?/apps/([^/]+)(?:/environments/[^/]+(?:/branches/[^/]+)?)?"
    r"/git(?:/info/refs|/git-receive-pack|/git-upload-pack)/?"
)


def accepting(app: WSGI, sign_in: SignIn) -> WSGI:
    """Return the application with Basic authentication where git asks; refusals then invite it to try."""

    def accept(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None:
            return app(environ, start_response)
        try:
            token = _token(environ, match[1], sign_in)
        except errors.Conflict as error:
            return _refuse(start_response, "409 Conflict", str(error))
        except errors.Unavailable as error:
            return _refuse(start_response, "503 Service Unavailable", str(error))
        if token is not None:
            environ["HTTP_X_AUTH_TOKEN"] = token
        return _invited(app, environ, start_response)

    return accept


def _token(environ: dict[str, Any], app: str, sign_in: SignIn) -> str | None:
    scheme, _, encoded = environ.pop("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not colon or not password:
        return None
    return password if user == TOKEN_USER else sign_in(user, password, app)


def _invited(app: WSGI, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer; where there is no token or it is refused (it has expired, say) tell git how to try again."""
    refused: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if not status.startswith("401"):
            return start_response(status, headers, exc_info)
        refused.append(status)
        return lambda _: None

    answer = app(environ, start)
    if refused:
        return _refuse(start_response, refused[-1], "Keystone knows no such user, password or token.")
    return answer


def _refuse(start_response: Callable[..., Any], status: str, words: str) -> Iterable[bytes]:
    body = f"{words}\n".encode()
    kind = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*kind, REALM] if status.startswith("401") else kind)
    return [body]


class Keystone:
    """Signs people in at Keystone, to the project of theirs that has the application.

    `projects_with` tells the projects that have an application of a name or id. A user is NAME (of Keystone's default
    domain) or DOMAIN/NAME.
    """

    def __init__(self, conf: cfg.ConfigOpts, projects_with: Callable[[str], set[str]]) -> None:
        self._conf = conf
        self._projects_with = projects_with
        self._salt = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def __call__(self, user: str, password: str, app: str) -> str | None:
        """Return a token, kept for a minute since git asks several times in a row; None when it is refused."""
        key = hashlib.blake2b("\0".join((user, password, app)).encode(), key=self._salt).hexdigest()
        with self._lock:
            until, token = self._kept.get(key, (0.0, ""))
        if until > time.monotonic():
            return token
        fresh = self._asked(user, password, app)
        if fresh is not None:
            self._keep(key, fresh)
        return fresh

    def _keep(self, key: str, token: str) -> None:
        with self._lock:
            self._kept[key] = (time.monotonic() + CACHE_SECONDS, token)
            while len(self._kept) > MAX_CACHED:
                self._kept.popitem(last=False)

    def _asked(self, user: str, password: str, app: str) -> str | None:
        try:
            return self._scoped(user, password, app)
        except (exceptions.Unauthorized, exceptions.NotFound, exceptions.BadRequest, exceptions.Forbidden):
            return None
        except exceptions.ClientException:
            LOG.warning("Keystone does not sign anybody in", exc_info=True)
            raise errors.Unavailable("Keystone, which says who you are, does not answer; try again") from None

    def _scoped(self, user: str, password: str, app: str) -> str | None:
        """Return a token for the one project that both the user and the application are in."""
        identity = self._conf.identity
        url = identity.auth_url or f"http://127.0.0.1:{identity.port}/v3"
        domain, _, name = user.rpartition("/")
        which = {"user_domain_name": domain} if domain else {"user_domain_id": "default"}
        unscoped = v3.Password(url, username=name, password=password, unscoped=True, **which)
        with_ca = self._conf.keystone_authtoken.cafile or True
        keystone = session.Session(auth=unscoped, verify=with_ca, timeout=TIMEOUT_SECONDS)
        token = keystone.get_token()
        mine = keystone.get(f"{url}/auth/projects", headers={"Accept": "application/json"}).json()["projects"]
        fitting = sorted({str(each["id"]) for each in mine} & self._projects_with(app))
        if len(fitting) > 1:
            raise errors.Conflict(f"several of your projects have an application {app[:63]}; put its id in the URL")
        # Without any, the first project will do: there the application is not found, whoever else may have it
        chosen = fitting or [str(each["id"]) for each in mine[:1]]
        if not chosen:
            return None
        scoped = v3.Token(url, token, project_id=chosen[0])
        return str(session.Session(auth=scoped, verify=with_ca, timeout=TIMEOUT_SECONDS).get_token())
