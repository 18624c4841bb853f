# SPDX-License-Identifier: Apache-2.0
"""Reading through the API with 1,000 clusters in its database: requests a second and p99, beside Magnum's own API.

Both are served by gunicorn with 16 threads, on SQLite, with the platform's Keystone and tokens kept in memory, and
asked by the same clients in turn. No worker runs, which would begin to make the clusters. The ratio is how many
times faster ours is.
"""

from __future__ import annotations

import configparser
import dataclasses
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from stackyard.model.clusters import (
    MASTER,
    WORKER,
    Cluster,
    ClusterObserved,
    ClusterTemplate,
    Node,
    NodeGroup,
    node_name,
)
from stackyard.model.phase import Phase
from stackyard.store import Store
from tools.bench.figure import Figure
from tools.bench.platform import Platform, free_port, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORACLE = ROOT / ".venv-oracle"
CLUSTERS = 1000
SECONDS = 8
CLIENTS = 4
THREADS = 16
SEALED_BYTES = 2700  # what a cluster's sealed authorities come to
PAGES = {
    "list of 1,000 clusters": "/clusters",
    "list of 1,000 clusters in detail": "/clusters/detail",
    "list of 20 of 1,000 clusters": "/clusters?limit=20",
    "show one of 1,000 clusters": "/clusters/{one}",
}
MAGNUM = """[DEFAULT]
transport_url = fake:/
host = bench
[api]
api_paste_config = {paste}
[database]
connection = sqlite:///{folder}/magnum.db
[keystone_authtoken]
auth_type = password
auth_url = {auth_url}
www_authenticate_uri = {auth_url}
username = {username}
password = {password}
project_name = {project}
user_domain_id = default
project_domain_id = default
cache = bench.cache
"""


def measure(platform: Platform) -> list[Figure]:
    token, project = platform.token()
    ours, magnum = Ours(platform, project), Magnum(platform, project)
    try:
        for server in (ours, magnum):
            until(server.answers)
        front = Load(ours, "", token)
        return [
            *(figure(name, ours, magnum, token) for name in PAGES),
            Figure("GET / of the same API", "requests/s", [front.rate]),
        ]
    finally:
        for server in (ours, magnum):
            server.stop()


def figure(name: str, ours: Server, magnum: Server, token: str) -> Figure:
    here, there = Load(ours, PAGES[name], token), Load(magnum, PAGES[name], token)
    note = f"p99 {here.p99:.0f} ms, Magnum {there.p99:.0f} ms; {CLIENTS} clients; floor: Magnum 23, same server, SQLite"
    return Figure(name, "requests/s", [here.rate], [there.rate], note)


class Server:
    """A server of clusters on a port of its own; `base` is the path of its API."""

    base = ""

    def __init__(self, folder: pathlib.Path, command: list[str], environment: Mapping[str, str]) -> None:
        self.one = ""
        self._log = (folder / f"{type(self).__name__}.log").open("wb")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self._process = subprocess.Popen(command, env={**clean, **environment}, stdout=self._log, stderr=self._log)

    def answers(self) -> bool:
        """Tell whether it is up; raises when it has ended."""
        if self._process.poll() is not None:
            sys.exit(f"error: {type(self).__name__} ended:\n{pathlib.Path(self._log.name).read_text()[-2000:]}")
        try:
            get(self.connection(), f"{self.base}/", "")
        except OSError:
            return False
        return True

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    port = 0


class Ours(Server):
    """Our API as the platform serves it, on a database of its own."""

    base = "/container-infra"

    def __init__(self, platform: Platform, project: str) -> None:
        url = f"sqlite:///{platform.folder}/api.db"
        fill(url, project)
        self.port = free_port()
        conf = platform.folder / "api.conf"
        options = read(platform)
        options["database"]["connection"] = url
        conf.touch(mode=0o600)
        with conf.open("w") as file:
            options.write(file)
        serve = [sys.executable, "-m", "stackyard.local.serve", "api", "stackyard.wsgi:application"]
        super().__init__(
            platform.folder, [*serve, f"127.0.0.1:{self.port}", str(THREADS)], {"STACKYARD_CONF": str(conf)}
        )


class Magnum(Server):
    """Magnum's own API, from its own environment."""

    def __init__(self, platform: Platform, project: str) -> None:
        self.port = free_port()
        conf = platform.folder / "magnum.conf"
        identity = read(platform)["identity"]
        conf.touch(mode=0o600)
        conf.write_text(
            MAGNUM.format(
                folder=platform.folder,
                paste=ORACLE / "etc" / "magnum" / "api-paste.ini",
                auth_url=identity["auth_url"],
                username=identity.get("username", "stackyard"),
                password=identity["password"],
                project=identity.get("project_name", "service"),
            )
        )
        command = [str(ORACLE / "bin" / "gunicorn"), "--chdir", str(ROOT)]
        command += ["--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread", "--threads", str(THREADS)]
        command += [
            "--no-control-socket",
            "--keep-alive",
            "75",
            "--timeout",
            "300",
            "tools.bench.magnum_wsgi:application",
        ]
        environment = {"MAGNUM_CONF": str(conf), "BENCH_PROJECT": project, "BENCH_CLUSTERS": str(CLUSTERS)}
        super().__init__(platform.folder, command, environment)


class Load:
    """Requests of all clients for some seconds: how many a second, and what the slowest hundredth waited (ms)."""

    def __init__(self, server: Server, path: str, token: str) -> None:
        self._server, self._token = server, token
        self._path = f"{server.base}{'/v1' if path else '/'}{path.format(one=self._one() if '{' in path else '')}"
        self._times: list[float] = []
        began = time.monotonic()
        self._over = began + SECONDS
        threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.rate = len(self._times) / (time.monotonic() - began)
        self.p99 = sorted(self._times)[int(len(self._times) * 0.99)] * 1000

    def _client(self) -> None:
        connection = self._server.connection()
        while time.monotonic() < self._over:
            began = time.monotonic()
            get(connection, self._path, self._token)
            self._times.append(time.monotonic() - began)

    def _one(self) -> str:
        text = get(self._server.connection(), f"{self._server.base}/v1/clusters?limit=1", self._token)
        return str(json.loads(text)["clusters"][0]["uuid"])


def get(connection: http.client.HTTPConnection, path: str, token: str) -> bytes:
    connection.request("GET", path, headers={"X-Auth-Token": token, "OpenStack-API-Version": "container-infra latest"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"GET {path} answered {answer.status}: {text[:300].decode()}")
    return text


def read(platform: Platform) -> configparser.ConfigParser:
    options = configparser.ConfigParser(interpolation=None, default_section="no default section")
    options.read(platform.state / "stackyard.conf")
    return options


def fill(url: str, project: str) -> None:
    """Write a template and clusters of it, each with a manager and a worker, as the worker leaves them."""
    store = Store(url)
    store.migrate()
    with store.transaction() as tx:
        template = ClusterTemplate(project_id=project, user_id="u", name="t", coe="swarm", image_id="node")
        tx.templates.insert(template)
        for number in range(CLUSTERS):
            cluster, groups = made(number, template)
            tx.clusters.insert(cluster)
            for group in groups:
                tx.nodegroups.insert(group)
    store.engine.dispose()


def made(number: int, template: ClusterTemplate) -> tuple[Cluster, list[NodeGroup]]:
    cluster = Cluster(
        project_id=template.project_id,
        name=f"c{number}",
        user_id="u",
        template_id=template.id,
        coe="swarm",
        phase=Phase.READY,
        labels={"drain_seconds": "30"},
        secrets="x" * SEALED_BYTES,
    )
    groups = [
        NodeGroup(
            cluster_id=cluster.id, project_id=cluster.project_id, name=f"default-{role}", role=role, is_default=True
        )
        for role in (MASTER, WORKER)
    ]
    nodes = tuple(
        Node(node_name(cluster, group, 0), group.id, group.role, "10.1.1.1", "ready", "m" * 25) for group in groups
    )
    seen = ClusterObserved(
        nodes=nodes,
        api_address="tcp://10.1.1.1:2376",
        engine_version="20.10",
        health="HEALTHY",
        health_reason={f"{node.name}.Ready": "True" for node in nodes},
        authority=1,
    )
    return dataclasses.replace(cluster, observed=seen), groups
