# SPDX-License-Identifier: Apache-2.0
"""A small platform for tests of the command line: real HTTP on loopback, Keystone's and our APIs' words.

It holds applications in memory and moves a push on by one step at each look, so that following can be seen.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import flask
import yaml
from cli_backups import backups
from cli_files import files
from cli_infra import certificates, clusters, nodegroups, templates
from cli_openstack import previews
from werkzeug.serving import make_server

STEPS = ("queued", "fetch", "detect", "build", "release", "deploy", "done")
LOG = "-----> Python\nStep 1/2 : FROM base\n\x1b[32mgreen\x1b[0m é\nlast line"
APPS = "/application-deployment/v1"
STEP = {"subject": "packages", "tool": "pip", "files": ["requirements.txt"], "whole_tree": False}
PLAN = {
    "notes": ["found Procfile"],
    "volumes": ["data"],
    "services": [
        {
            "name": "web",
            "image": None,
            "context": ".",
            "command": ["/bin/sh", "-c", "python app.py"],
            "port": 8000,
            "replicas": 1,
            "dockerfile": None,
            "pack": {
                "found": "requirements.txt",
                "runtime": {"name": "Python", "version": "3.11", "reason": "Debian's"},
                "install": STEP,
                "tools": None,
                "build": None,
            },
        },
        {
            "name": "db",
            "image": "redis:7",
            "context": None,
            "command": None,
            "port": None,
            "replicas": 1,
            "dockerfile": None,
            "pack": None,
        },
    ],
}

Run = Callable[..., tuple[int, str, str]]
"""Runs a command line; returns exit code, stdout, stderr."""


class Platform:
    """State and switches of the small platform; `url` is where it listens."""

    def __init__(self) -> None:
        self.apps: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, bytes] = {}
        self.workflows: dict[str, list[dict[str, Any]]] = {}
        self.releases: dict[str, list[dict[str, Any]]] = {}
        self.config: dict[str, dict[str, Any]] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.lines: list[dict[str, str]] = []
        self.asked: dict[str, Any] = {}
        self.page = 100
        self.member_state = "synced"
        self.tokens: set[str] = set()
        self.seen: list[str] = []
        self.fail_with = ""
        self.unchanged = False
        self.step_seconds = 0.0
        self.break_log_after: int | None = None
        self.url = ""

    def clouds(self) -> str:
        """Return a clouds.yaml that leads here."""
        auth = {
            "auth_url": f"{self.url}/v3",
            "username": "demo",
            "password": "right",
            "project_name": "demo",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        other = {**auth, "password": "wrong"}
        return yaml.safe_dump({"clouds": {"stackyard": {"auth": auth}, "locked": {"auth": other}}})


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def fault(status: int, text: str) -> tuple[Any, int]:
    return flask.jsonify(faultcode="Client", faultstring=text, debuginfo=None), status


def application(platform: Platform) -> flask.Flask:
    """Return the WSGI application of everything below one port."""
    app = flask.Flask("small-platform")
    for area in (
        identity,
        applications,
        pushes,
        reports,
        releases,
        templates,
        clusters,
        nodegroups,
        certificates,
        files,
        previews,
        backups,
    ):
        routes = flask.Blueprint(area.__name__, __name__)
        area(routes, platform)
        app.register_blueprint(routes)

    @app.before_request
    def check() -> Any:
        request = flask.request
        platform.seen.append(f"{request.method} {request.full_path.rstrip('?')}")
        if request.path.startswith("/v3"):
            return None
        if request.headers.get("X-Auth-Token") not in platform.tokens:
            return fault(401, "Authentication required")
        return None

    return app


def identity(app: flask.Blueprint, platform: Platform) -> None:
    @app.get("/v3")
    @app.get("/v3/")
    def version() -> Any:
        links = [{"rel": "self", "href": f"{platform.url}/v3/"}]
        return {"version": {"id": "v3.14", "status": "stable", "links": links}}

    @app.post("/v3/auth/tokens")
    def login() -> Any:
        given = flask.request.get_json()["auth"]["identity"]["password"]["user"]["password"]
        if given != "right":
            return {"error": {"code": 401, "message": "The request you have made requires authentication."}}, 401
        token = uuid.uuid4().hex
        platform.tokens.add(token)
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        catalog = [
            service("application_deployment", f"{platform.url}/application-deployment"),
            service("container-infra", f"{platform.url}/container-infra/v1"),
        ]
        body = {"methods": ["password"], "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "catalog": catalog}
        return {"token": body}, 201, {"X-Subject-Token": token}


def service(kind: str, url: str) -> dict[str, Any]:
    endpoint = {"id": "e", "interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": url}
    return {"id": kind, "type": kind, "name": kind, "endpoints": [endpoint]}


def applications(app: flask.Blueprint, platform: Platform) -> None:
    @app.get(f"{APPS}/apps")
    def listing() -> Any:
        return flask.jsonify(list(platform.apps.values()))

    @app.post(f"{APPS}/apps")
    def create() -> Any:
        name = flask.request.get_json()["name"]
        platform.apps[name] = {
            "uuid": str(uuid.uuid4()),
            "name": name,
            "status": "QUEUED",
            "status_reason": None,
            "app_url": None,
            "release": 0,
            "created_at": now(),
        }
        platform.workflows[name], platform.releases[name] = [], []
        platform.config[name] = {}
        platform.scale = {"web": 1}
        return platform.apps[name], 201

    @app.get(f"{APPS}/apps/<ident>")
    def show(ident: str) -> Any:
        found = find(platform, ident)
        return found or fault(404, f"there is no application '{ident}'")

    @app.get(f"{APPS}/apps/<ident>/environments/<name>")
    def environment(ident: str, name: str) -> Any:
        known = {"production", "staging"}
        return {"name": name} if name in known else fault(404, f"application {ident} has no environment '{name}'")

    @app.delete(f"{APPS}/apps/<ident>")
    def delete(ident: str) -> Any:
        del platform.apps[find(platform, ident)["name"]]
        return "", 202


def pushes(app: flask.Blueprint, platform: Platform) -> None:
    @app.post(f"{APPS}/sources")
    def upload() -> Any:
        data = flask.request.get_data()
        digest = hashlib.sha256(data).hexdigest()
        platform.sources[digest] = data
        return {"digest": digest, "size": len(data)}, 201

    @app.post(f"{APPS}/sources/<digest>/plan")
    def plan(digest: str) -> Any:
        return PLAN if digest in platform.sources else fault(404, "no archive of this digest is stored")

    @app.get(f"{APPS}/language_packs")
    def packs() -> Any:
        return flask.jsonify([])

    @app.post(f"{APPS}/apps/<ident>/workflows")
    def begin(ident: str) -> Any:
        name, asked = find(platform, ident)["name"], flask.request.get_json()
        if asked["actions"] == ["deploy"]:
            return {"uuid": str(uuid.uuid4()), "release": release(platform, name, f"like {asked['du_id']}")}
        source = asked["source"]
        if str(source.get("repository", "")).startswith("ext::"):
            return fault(400, "source.repository must be a URL that begins with one of: git://, https://")
        if source.get("digest") and source["digest"] not in platform.sources:
            return fault(400, "no such source; upload it first")
        if platform.unchanged and not asked.get("force"):
            return {**platform.workflows[name][0], "unchanged": True}
        if asked.get("buildpacks") is not None:
            platform.apps[name]["buildpacks"] = asked["buildpacks"]
        made = {
            "uuid": str(uuid.uuid4()),
            "wf_id": len(platform.workflows[name]) + 1,
            "source": source,
            "status": "BUILDING",
            "status_reason": None,
            "step": "queued",
            "release": 0,
            "revision": source.get("revision") or "",
            "seconds": {},
            "created_at": now(),
        }
        platform.workflows[name].insert(0, made)
        threading.Thread(target=work, args=(platform, name, made), daemon=True).start()
        return made

    @app.get(f"{APPS}/apps/<ident>/workflows")
    def workflows(ident: str) -> Any:
        return flask.jsonify(platform.workflows[find(platform, ident)["name"]])

    @app.get(f"{APPS}/apps/<ident>/workflows/<wf>")
    def workflow(ident: str, wf: str) -> Any:
        found = platform.workflows[find(platform, ident)["name"]]
        return next(each for each in found if wf in (each["uuid"], str(each["wf_id"])))

    @app.get(f"{APPS}/apps/<ident>/workflows/<wf>/output")
    def log(ident: str, wf: str) -> Any:
        found = next(
            each
            for each in platform.workflows[find(platform, ident)["name"]]
            if wf in (each["uuid"], str(each["wf_id"]))
        )
        return flask.Response(pieces(platform, found, int(flask.request.args.get("offset", 0))), mimetype="text/plain")


def reports(app: flask.Blueprint, platform: Platform) -> None:
    @app.get(f"{APPS}/apps/<ident>/events")
    def events(ident: str) -> Any:
        return flask.jsonify([{"id": 1, "at": now(), "kind": "created", "message": f"{ident} was made"}])

    @app.get(f"{APPS}/apps/<ident>/logs")
    def logs(ident: str) -> Any:
        if find(platform, ident) is None:
            return fault(404, f"there is no application '{ident}'")
        wanted = flask.request.args.get("service")
        tail = int(flask.request.args.get("tail", len(platform.lines)))
        chosen = [line for line in platform.lines if wanted in (None, line["service"])][-tail:]
        return flask.Response((json.dumps(line) + "\n" for line in chosen), mimetype="application/x-ndjson")


def releases(app: flask.Blueprint, platform: Platform) -> None:
    @app.get(f"{APPS}/apps/<ident>/releases")
    def listing(ident: str) -> Any:
        serving = find(platform, ident)["release"]
        return flask.jsonify([{**each, "current": each["number"] == serving} for each in platform.releases[ident]])

    @app.get(f"{APPS}/apps/<ident>/config")
    def config(ident: str) -> Any:
        if find(platform, ident) is None:
            return fault(404, f"there is no application '{ident}'")
        kept = platform.config[ident]
        secrets = sorted(key for key, value in kept.items() if isinstance(value, dict))
        shown = {key: None if key in secrets else value for key, value in kept.items()}
        return {**shown, "secrets": secrets} if secrets else shown

    @app.patch(f"{APPS}/apps/<ident>/config")
    def change(ident: str) -> Any:
        merged = {**platform.config[ident], **flask.request.get_json()}
        platform.config[ident] = {key: value for key, value in merged.items() if value is not None}
        return {"release": release(platform, ident, "config") if platform.releases[ident] else None}, 202

    @app.put(f"{APPS}/apps/<ident>/scale")
    def scale(ident: str) -> Any:
        asked = flask.request.get_json()
        if set(asked) - set(platform.scale):
            return fault(400, "no service 'db'; services: web")
        platform.scale.update(asked)
        return {"scale": platform.scale}, 202

    @app.get(f"{APPS}/apps/<ident>/processes")
    def processes(ident: str) -> Any:
        if find(platform, ident) is None:
            return fault(404, f"there is no application '{ident}'")
        count = platform.scale["web"]
        replica = {"service": "web", "state": "running", "release": 1, "node": "n1", "started_at": now(), "reason": ""}
        figures = {"cpu": 0.01, "memory": 20 << 20, "memory_limit": None, "restarts": 0, "loop": ""}
        return flask.jsonify([{**replica, **figures, "replica": n + 1} for n in range(count)])


def find(platform: Platform, ident: str) -> Any:
    return next((each for each in platform.apps.values() if ident in (each["uuid"], each["name"])), None)


def release(platform: Platform, name: str, summary: str) -> int:
    number = len(platform.releases[name]) + 1
    platform.releases[name].insert(0, {"number": number, "revision": "", "summary": summary, "created_at": now()})
    platform.apps[name].update(
        release=number, status="DEPLOYMENT_COMPLETE", app_url=f"http://{name}.demo.localhost:8080", status_reason=None
    )
    return number


def work(platform: Platform, name: str, workflow: dict[str, Any]) -> None:
    """Move a push through its steps."""
    for before, step in itertools.pairwise(STEPS):
        time.sleep(platform.step_seconds)
        workflow["seconds"][before] = 0.1
        if platform.fail_with and before == "build":
            workflow.update(status="ERROR", status_reason=platform.fail_with)
            return
        if step == "done":
            workflow["seconds"] |= {"health": 0.2, "switch": 0.1}
            workflow["images"] = {"web": "registry/demo/web@sha256:12ab"}
            workflow["release"] = release(platform, name, "push")
            workflow["status"] = "DEPLOYMENT_COMPLETE"
        workflow["step"] = step


def pieces(platform: Platform, workflow: dict[str, Any], offset: int) -> Iterator[bytes]:
    """Yield the log from a byte on, a few bytes at a time, then wait for the push to end."""
    data, sent = LOG.encode()[offset:], 0
    for start in range(0, len(data), 7):
        if platform.break_log_after is not None and sent >= platform.break_log_after:
            platform.break_log_after = None
            raise ConnectionResetError("the test pulls the plug")
        yield data[start : start + 7]
        sent += 7
    while workflow["status"] == "BUILDING":
        time.sleep(0.01)


@contextlib.contextmanager
def serve() -> Iterator[Platform]:
    """Serve a small platform on a free loopback port."""
    platform = Platform()
    server = make_server("127.0.0.1", 0, application(platform), threaded=True)
    server.log_startup = lambda: None
    platform.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield platform
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()
