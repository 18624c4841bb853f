# SPDX-License-Identifier: Apache-2.0
"""What every request passes before it reaches a route, composed in code. Called by `http.create_app`.

From the outside in:

1. request id    first, so that whatever answers carries `X-OpenStack-Request-Id` and logs can name it;
2. version       a path that leaves out the version that is implied is completed, so that all below sees it whole;
3. basic         for git, which can send no token: makes one of user name and password;
4. refusals      around identity, to tell Keystone's refusals in the words of the API that was asked;
5. identity      validates the token with Keystone, then with Keystones that are trusted (see `trusted`); public paths
                 (versions, the health check) pass by it;
6. the routes    version, schema, look-up, policy, handler (see `dispatch`). Sizes are limited where bodies are
                 read, since an archive may be larger than JSON.
"""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keystoneauth1 import loading
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_middleware import request_id

from stackyard.api import basic, trusted
from stackyard.api.cache import CACHE_SECONDS, TokenCache
from stackyard.api.call import Family
from stackyard.api.faults import Fault, of
from stackyard.model.trusts import Trust

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Wrap = Callable[[WSGI], WSGI]
AUTHTOKEN = "keystone_authtoken"
CACHE = "stackyard.token_cache"
REFUSALS = {
    401: "The request you have made requires authentication.",
    503: "Keystone, which says who you are, does not answer; try again.",
}


def build(
    app: WSGI, families: Sequence[Family], public: Sequence[str], authenticate: Wrap, sign_in: basic.SignIn
) -> WSGI:
    """Return the application with everything around it; `public` are the paths that need no token."""
    guarded = basic.accepting(_refusals(authenticate(_reached(app)), families), sign_in)
    routed = _by_path(app, guarded, frozenset(path.rstrip("/") for path in public))
    return request_id.RequestId(_completed(routed, families))  # type: ignore[no-any-return]


def keystone(conf: cfg.ConfigOpts, opened: trusted.Opened = tuple, ca: str = "") -> Wrap:
    """Return keystonemiddleware, set up by `[identity]`; what `[keystone_authtoken]` says goes before it.

    `opened` tells of other Keystones that are trusted, `ca` is the file of the platform's own authority.
    """
    _register(conf)
    for name, value in _options(conf.identity).items():
        conf.set_default(name, value, AUTHTOKEN)

    def guard(trust: Trust, password: str) -> Wrap:
        own = cfg.ConfigOpts()
        own([])
        _register(own)
        for name, value in _options_of(trust, password, ca).items():
            own.set_override(name, value, AUTHTOKEN)
        return lambda app: _guarded(own, app)

    def wrap(app: WSGI) -> WSGI:
        return trusted.accepting(_guarded(conf, app), trusted.Trusted(opened, guard, app))

    return wrap


def _register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(auth_token.list_opts()[0][1], AUTHTOKEN)
    conf.register_opts(loading.get_auth_plugin_conf_options("password"), AUTHTOKEN)


def _guarded(conf: cfg.ConfigOpts, app: WSGI) -> WSGI:
    return _with_cache(auth_token.AuthProtocol(app, {"oslo_config_config": conf}))


def _options(identity: Any) -> dict[str, Any]:
    url = identity.auth_url or f"http://127.0.0.1:{identity.port}/v3"
    return _validating(url, identity.username, identity.password, identity.project_name)


def _options_of(trust: Trust, password: str, ca: str) -> dict[str, Any]:
    found = _validating(trust.auth_url, trust.username, password, "service")
    # Its internal address leads nowhere from here.
    return {**found, "interface": "public", "http_request_max_retries": 0, **({"cafile": ca} if trust.own_ca else {})}


def _validating(url: str, username: str, password: str, project: str) -> dict[str, Any]:
    return {
        "auth_type": "password",
        "auth_url": url,
        "www_authenticate_uri": url,
        "username": username,
        "password": password,
        "project_name": project,
        "user_domain_id": "default",
        "project_domain_id": "default",
        "cache": CACHE,
        "token_cache_time": CACHE_SECONDS,
        "include_service_catalog": False,
        "service_token_roles_required": True,
        "http_connect_timeout": 10,
    }


def _with_cache(app: WSGI) -> WSGI:
    cache = TokenCache()

    def cached(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[CACHE] = cache
        return app(environ, start_response)

    return cached


def _reached(app: WSGI) -> WSGI:
    def reached(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[trusted.REACHED] = True
        return app(environ, start_response)

    return reached


def _refusals(app: WSGI, families: Sequence[Family]) -> WSGI:
    """Say 401 and 503 of the identity middleware in the words of the family that was asked."""

    def refusing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if environ.get(trusted.REACHED):
                return start_response(status, headers, exc_info)
            seen.append((status, headers))
            return lambda _: None

        try:
            answer = app(environ, start)
        except Exception as error:
            fault = of(error, str(environ.get(request_id.ENV_REQUEST_ID, "")))
            return _refuse(families, environ, fault, [], start_response)
        if environ.get(trusted.REACHED) or not seen:
            return answer
        status, headers = seen[-1]
        code = int(status.split(" ", 1)[0])
        return _refuse(families, environ, Fault(code, REFUSALS.get(code, status)), headers, start_response)

    return refusing


def _refuse(
    families: Sequence[Family],
    environ: dict[str, Any],
    fault: Fault,
    headers: list[tuple[str, str]],
    start_response: Callable[..., Any],
) -> Iterable[bytes]:
    family = family_of(families, environ.get("PATH_INFO", "/")) or families[0]
    body = json.dumps(family.fault(fault).data).encode()
    kept = [(name, value) for name, value in headers if name.lower() == "www-authenticate"]
    own = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{fault.status} {http.HTTPStatus(fault.status).phrase}", [*kept, *own])
    return [body]


def _by_path(app: WSGI, guarded: WSGI, public: frozenset[str]) -> WSGI:
    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").rstrip("/") not in public:
            return guarded(environ, start_response)
        environ.pop("HTTP_X_IDENTITY_STATUS", None)  # nobody vouches for it here: a client may have sent it
        return app(environ, start_response)

    return choose


def _completed(app: WSGI, families: Sequence[Family]) -> WSGI:
    def complete(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        family = family_of(families, path)
        if family and family.implied:
            rest = path.removeprefix(family.prefix)
            if rest.strip("/") and not f"{rest}/".startswith(f"{family.implied}/"):
                environ["PATH_INFO"] = family.prefix + family.implied + rest
        return app(environ, start_response)

    return complete


def family_of(families: Sequence[Family], path: str) -> Family | None:
    """Return the family that a path is under."""
    for family in families:
        if path == family.prefix or path.startswith(family.prefix + "/"):
            return family
    return None
