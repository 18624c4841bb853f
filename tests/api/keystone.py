# SPDX-License-Identifier: Apache-2.0
"""A Keystone of four answers on loopback, for the real keystonemiddleware to ask."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Iterator

import flask
from werkzeug.serving import make_server


class Keystone:
    """Knows one user token, of one project and role; counts how often it is asked for it.

    The address in its catalog that is not `reached` leads nowhere.
    """

    def __init__(
        self, known: str = "good", project: str = "démo", role: str = "member", reached: str = "internal"
    ) -> None:
        self.known, self.project, self.role = known, project, role
        self.reached = reached
        self.validated = 0
        self.app = flask.Flask("keystone")
        self.app.add_url_rule("/v3", view_func=self.version)
        self.app.add_url_rule("/v3/", "slash", view_func=self.version)
        self.app.add_url_rule("/v3/auth/tokens", view_func=self.tokens, methods=["GET", "POST"])

    def version(self) -> flask.Response:
        links = [{"rel": "self", "href": flask.request.host_url + "v3/"}]
        return flask.jsonify({"version": {"id": "v3.14", "status": "stable", "links": links}})

    def tokens(self) -> flask.Response | tuple[flask.Response, int] | tuple[str, int]:
        if flask.request.method == "POST":
            answer = flask.jsonify({"token": self.token("service", "admin")})
            answer.headers["X-Subject-Token"] = "service-token"
            return answer, 201
        self.validated += 1
        if flask.request.headers["X-Subject-Token"] != self.known:
            return "{}", 404
        return flask.jsonify({"token": self.token(self.project, self.role)})

    def token(self, project: str, role: str) -> dict[str, object]:
        now = datetime.datetime.now(datetime.UTC)
        domain = {"id": "default", "name": "Default"}
        url, nowhere = flask.request.host_url + "v3", "http://127.0.0.1:9/v3"
        endpoints = [
            {"id": each, "interface": each, "region": "r", "url": url if each == self.reached else nowhere}
            for each in ("internal", "public")
        ]
        identity = [{"type": "identity", "id": "i", "name": "keystone", "endpoints": endpoints}]
        return {
            "methods": ["password"],
            "user": {"id": "u-1", "name": "ann", "domain": domain},
            "project": {"id": f"id-{project}", "name": project, "domain": domain},
            "roles": [{"id": each, "name": each} for each in role.split(",")],
            "issued_at": now.isoformat().replace("+00:00", "Z"),
            "expires_at": (now + datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
            "catalog": identity,
        }


@contextlib.contextmanager
def serving(keystone: Keystone) -> Iterator[tuple[Keystone, int]]:
    """Serve until left; give its port, too."""
    server = make_server("127.0.0.1", 0, keystone.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield keystone, server.server_port
    finally:
        server.shutdown()
        server.server_close()
