# SPDX-License-Identifier: Apache-2.0
"""The only file that imports the web framework: tables of routes become a WSGI application.

`stackyard.wsgi` calls `create_app`. A request becomes a `Call`, a `Reply` becomes a response; nothing
above or below this file knows Flask.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import simple_websocket
import werkzeug.exceptions
from oslo_config import cfg
from werkzeug.wrappers import Response
from wsproto.utilities import ProtocolError

from stackyard.api import basic, dispatch, identity, pipeline, validation, versions
from stackyard.api.application_deployment import routes as application_deployment
from stackyard.api.call import Body, Call, Duplex, Family, Reply, Route
from stackyard.api.container_infra import policies
from stackyard.api.container_infra import routes as container_infra
from stackyard.api.faults import Fault, of
from stackyard.api.policy import Policy
from stackyard.api.services import Services
from stackyard.drivers.certificates.hosts import CA
from stackyard.model import errors
from stackyard.store import Page

MAX_JSON = 2 * 1024 * 1024
MAX_MESSAGE = 1024 * 1024
MAX_HELD = 16
PING_SECONDS = 4
UPGRADE, UPGRADED = "stackyard.upgrade", "stackyard.upgraded"
JSON_TYPES = ("application/json", "application/json-patch+json")
View = Callable[..., Response]
WSGIApplication = pipeline.WSGI


def create_app(
    services: Services, authenticate: pipeline.Wrap | None = None, sign_in: basic.SignIn | None = None
) -> WSGIApplication:
    """Return the whole API as a WSGI callable; `authenticate` and `sign_in` replace Keystone in tests."""
    app = flask.Flask("stackyard", static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.register_error_handler(Exception, _unrouted)
    policy = policy_of(services.conf)
    for family in (FRONT, *FAMILIES):
        for number, route in enumerate(family.served(services.conf)):
            _add(app, family.prefix, f"{family.name}-{number}", route, _view(services, policy, family, route))
    public = [family.prefix + route.path for family, route in all_routes() if route.rule is None]
    ca = str(pathlib.Path(services.conf.state_dir) / "certificates" / CA)
    authenticate = authenticate or pipeline.keystone(services.conf, services.intents.trusts.opened, ca)
    sign_in = sign_in or basic.Keystone(services.conf, services.intents.applications.projects_with)
    return _ending_upgraded(pipeline.build(app.wsgi_app, FAMILIES, public, authenticate, sign_in))


def policy_of(conf: cfg.ConfigOpts) -> Policy:
    """Return the rules of all families as the policy file changes them; raises BadInput for a wrong file."""
    return Policy(conf, (*policies.RULES, *application_deployment.RULES), policies.EVERYWHERE)


def all_routes() -> Iterator[tuple[Family, Route]]:
    """Yield every route there is with its family."""
    for family in (FRONT, *FAMILIES):
        for route in family.routes:
            yield family, route


def _root(call: Call) -> Reply:
    """List the APIs, so that a browser or a curious client finds its way."""
    return Reply(data={"name": "Stackyard", "versions": [_entry(call.url, family) for family in FAMILIES]})


def _health(call: Call) -> Reply:
    """Tell that requests can be answered: the database does."""
    with call.services.store.reading() as tx:
        tx.clusters.list(page=Page(limit=1))
    return Reply(stream=(b"OK\n",), content_type="text/plain")


def _entry(url: str, family: Family) -> dict[str, Any]:
    span = family.versions
    return {
        "id": "v1",
        "service": family.name,
        "status": "CURRENT",
        "min_version": versions.text(span.lowest) if span else "",
        "max_version": versions.text(span.highest) if span else "",
        "links": [{"rel": "self", "href": f"{url}{family.prefix}/v1"}],
    }


FAMILIES: tuple[Family, ...] = (container_infra.FAMILY, application_deployment.FAMILY)
FRONT = Family(
    "front",
    "",
    (Route("GET", "/", _root, None), Route("GET", "/healthcheck", _health, None)),
    application_deployment.fault,
)


def _add(app: flask.Flask, prefix: str, name: str, route: Route, view: View) -> None:
    path = prefix + route.path.replace("{", "<").replace("}", ">")
    app.add_url_rule(path, name, view, methods=[route.method], provide_automatic_options=False)


def _view(services: Services, policy: Policy, family: Family, route: Route) -> View:
    def view(**args: str) -> Response:
        version = _version(family) if route.path else versions.LOWEST  # the front tells which versions there are
        if isinstance(version, Fault):
            return _respond(family.fault(version), family)
        try:
            call = _call(services, family, route, version, args)
        except werkzeug.exceptions.HTTPException as error:
            return _unrouted(error)
        except Exception as error:
            return _respond((route.fault or family.fault)(of(error, _request_id())), family, version)
        reply = dispatch.answer(policy, family, route, call)
        return _upgrade(reply.duplex, family, version) if reply.duplex else _respond(reply, family, version)

    return view


def _version(family: Family) -> versions.Version | Fault:
    if family.versions is None:
        return versions.LOWEST
    return family.versions.negotiate(flask.request.headers.get(versions.HEADER))


def _call(services: Services, family: Family, route: Route, version: versions.Version, args: dict[str, str]) -> Call:
    request = flask.request
    caller = identity.nobody if route.rule is None else identity.caller
    return Call(
        services=services,
        caller=caller(request.environ),
        url=request.host_url.rstrip("/") + family.prefix,
        args=args,
        query=request.args.to_dict(),
        version=version,
        body=_json() if route.body is Body.JSON else None,
        stream=request.stream if route.body is Body.RAW else None,  # type: ignore[arg-type]
        headers=request.headers,  # type: ignore[arg-type]
    )


def _json() -> Any:
    request = flask.request
    if request.mimetype and request.mimetype not in JSON_TYPES:
        raise errors.BadInput("the body must be JSON: send Content-Type: application/json")
    request.max_content_length = MAX_JSON
    try:
        text = request.get_data(cache=False)
    except werkzeug.exceptions.RequestEntityTooLarge:
        raise errors.TooLarge(f"the body must be at most {MAX_JSON} bytes long") from None
    except werkzeug.exceptions.ClientDisconnected:
        raise errors.BadInput("the body ended before its announced length") from None
    return validation.parse(text)


def _respond(reply: Reply, family: Family | None, version: versions.Version | None = None) -> Response:
    headers = dict(reply.headers)
    if family and family.versions:
        headers |= family.versions.headers(version or family.versions.lowest)
    if reply.stream is not None:
        return Response(reply.stream, reply.status, headers, content_type=reply.content_type)
    if reply.data is None:
        empty = Response(b"", reply.status, headers)
        del empty.headers["Content-Type"]
        return empty
    text = json.dumps(reply.data, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(text, reply.status, headers, content_type=reply.content_type)


def _unrouted(error: Exception) -> Response:
    """Answer what no route took: unknown paths and methods, in the words of the family that they are under."""
    family = pipeline.family_of(FAMILIES, flask.request.path)
    status = error.code or 500 if isinstance(error, werkzeug.exceptions.HTTPException) else 500
    fault = Fault(status) if status < 500 else of(error, _request_id())
    response = _respond((family or FRONT).fault(fault), family)
    if isinstance(error, werkzeug.exceptions.MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _request_id() -> str:
    return identity.request_id(flask.request.environ)


# --- connections in both directions ------------------------------------------------------------


class _Socket:
    """A client's socket, written to by one thread at a time and read only while there is room for what it says.

    The library writes from two threads, and would keep whatever a client sends.
    """

    def __init__(self, plain: socket.socket) -> None:
        plain.setblocking(True)
        self._plain = plain
        self._lock = threading.Lock()
        self.full: Callable[[], bool] = lambda: False

    def send(self, data: bytes) -> int:
        with self._lock:
            self._plain.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        while self.full():
            time.sleep(0.01)
        return self._plain.recv(size)

    def fileno(self) -> int:
        return self._plain.fileno()

    def close(self) -> None:
        self._plain.close()


class _Line:
    """A WebSocket (RFC 6455) as handlers know it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        plain = _Socket(environ["gunicorn.socket"])
        self._socket = simple_websocket.Server.accept(
            {**environ, "HTTP_UPGRADE": environ[UPGRADE], "gunicorn.socket": plain},
            ping_interval=PING_SECONDS,
            max_message_size=MAX_MESSAGE,
        )
        plain.full = lambda: self._socket.connected and len(self._socket.input_buffer) > MAX_HELD

    @property
    def gone(self) -> bool:
        return not self._socket.connected and not self._socket.input_buffer

    def receive(self, timeout: float) -> bytes | str | None:
        try:
            found: bytes | str | None = self._socket.receive(timeout)
        except simple_websocket.ConnectionClosed:
            return None
        return found

    def send(self, data: bytes | str) -> None:
        try:
            self._socket.send(data)
        except (simple_websocket.ConnectionClosed, ProtocolError, OSError) as error:
            raise errors.Unavailable("the client has gone") from error

    def close(self) -> None:
        with contextlib.suppress(simple_websocket.ConnectionClosed, ProtocolError, OSError):
            self._socket.close()


def _upgrade(converse: Callable[[Duplex], None], family: Family, version: versions.Version) -> Response:
    """Make a WebSocket of the request, and let the handler talk until it has done."""
    environ = flask.request.environ
    if environ.get(UPGRADE, "").lower() != "websocket" or "gunicorn.socket" not in environ:
        message = "this address speaks WebSocket only; use the stackyard command, or another client of RFC 6455"
        return _respond(family.fault(Fault(400, message)), family, version)
    try:
        line = _Line(environ)
    except (simple_websocket.ConnectionError, ProtocolError) as error:
        return _respond(family.fault(Fault(400, f"the WebSocket can't be opened: {error}")), family, version)
    environ[UPGRADED] = True
    try:
        converse(line)
    finally:
        line.close()
    return Response(b"")


def _ending_upgraded(app: WSGIApplication) -> WSGIApplication:
    """Send nothing after a WebSocket: gunicorn takes StopIteration for a connection that has had its answer.

    The wish for one is kept from the framework, which would look for routes of another kind.
    """

    def ending(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ[UPGRADE] = environ.pop("HTTP_UPGRADE", "")
        answer = app(environ, start_response)
        if environ.get(UPGRADED):
            raise StopIteration
        return answer

    return ending
