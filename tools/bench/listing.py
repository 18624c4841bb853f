# SPDX-License-Identifier: Apache-2.0
"""Reading through the API with 1,000 clusters in its database: requests a second and p99.

An API of its own, without workers (which would begin to make the clusters), on the platform's Keystone. The floor is
the same server's answer to `GET /`: HTTP, framework and client, without identity, policy, database or views.
"""

from __future__ import annotations

import http.client
import os
import pathlib
import subprocess
import sys
import threading
import time

from stackyard.model.clusters import MASTER, WORKER, Cluster, ClusterTemplate, NodeGroup
from stackyard.model.phase import Phase
from stackyard.store import Store
from tools.bench.figure import Figure
from tools.bench.platform import Platform, free_port, until

CLUSTERS = 1000
SECONDS = 8
CLIENTS = 4


def measure(platform: Platform) -> list[Figure]:
    url = f"sqlite:///{platform.folder}/listing.db"
    token, project = platform.token()
    one = fill(url, project)
    port = free_port()
    process = serve(platform, url, port)
    try:
        until(lambda: answers(port))
        root = load(port, "/", "")
        pages = {
            "list of 1,000 clusters": "/container-infra/v1/clusters",
            "list of 20 of 1,000 clusters": "/container-infra/v1/clusters?limit=20",
            "show one of 1,000 clusters": f"/container-infra/v1/clusters/{one}",
        }
        return [figure(name, load(port, path, token), root) for name, path in pages.items()]
    finally:
        process.terminate()
        process.wait()


def figure(name: str, times: list[float], root: list[float]) -> Figure:
    p99 = sorted(times)[int(len(times) * 0.99)] * 1000
    note = f"p99 {p99:.0f} ms, {CLIENTS} clients; floor: GET / of the same server"
    return Figure(name, "requests/s", [len(times) / SECONDS], [len(root) / SECONDS], note)


def fill(url: str, project: str) -> str:
    """Write the clusters; return the id of one."""
    store = Store(url)
    store.migrate()
    with store.transaction() as tx:
        template = ClusterTemplate(project_id=project, user_id="u", name="t", coe="swarm", image_id="node")
        tx.templates.insert(template)
        for number in range(CLUSTERS):
            cluster = Cluster(
                project_id=project,
                name=f"c{number}",
                user_id="u",
                template_id=template.id,
                coe="swarm",
                phase=Phase.READY,
            )
            tx.clusters.insert(cluster)
            for role in (MASTER, WORKER):
                tx.nodegroups.insert(
                    NodeGroup(
                        cluster_id=cluster.id, project_id=project, name=f"default-{role}", role=role, is_default=True
                    )
                )
    store.engine.dispose()
    return cluster.id


def serve(platform: Platform, url: str, port: int) -> subprocess.Popen[bytes]:
    conf = platform.folder / "listing.conf"
    text = (platform.state / "stackyard.conf").read_text()
    database = next(line for line in text.splitlines() if line.startswith("connection"))
    conf.write_text(text.replace(database, f"connection = {url}"))
    conf.chmod(0o600)
    command = [
        sys.executable,
        "-m",
        "stackyard.local.serve",
        "api",
        "stackyard.wsgi:application",
        f"127.0.0.1:{port}",
        "16",
    ]
    log = (pathlib.Path(platform.folder) / "listing.log").open("wb")
    return subprocess.Popen(command, env={**os.environ, "STACKYARD_CONF": str(conf)}, stdout=log, stderr=log)


def answers(port: int) -> bool:
    try:
        return get(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/", "") > 0
    except OSError:
        return False


def get(connection: http.client.HTTPConnection, path: str, token: str) -> float:
    began = time.monotonic()
    connection.request("GET", path, headers={"X-Auth-Token": token, "OpenStack-API-Version": "container-infra latest"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200 and path != "/":
        raise SystemExit(f"GET {path} answered {answer.status}")
    return time.monotonic() - began


def load(port: int, path: str, token: str) -> list[float]:
    """Return the seconds that each request took."""
    times: list[float] = []
    over = time.monotonic() + SECONDS

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < over:
            times.append(get(connection, path, token))

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times
