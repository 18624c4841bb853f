# SPDX-License-Identifier: Apache-2.0
"""A cluster of three nodes by one request, against the same three nodes by plain docker commands.

The floor runs the very same node image with the same rights and certificates; its certificates are made beforehand.
"""

from __future__ import annotations

import pathlib
import subprocess
import time
from collections.abc import Sequence

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.machines.privileges import detect
from tools.bench.figure import Figure
from tools.bench.platform import Platform, until

ROUNDS = 3
TLS = "etc/stackyard/tls"
NETWORK = "sybench-floor"
NODES = {f"sybench-floor-{n}": f"10.184.77.{10 + n}" for n in range(3)}


def measure(platform: Platform) -> list[Figure]:
    ours, floor = [], []
    certificates = make_certificates(platform.folder / "floor")
    platform.run("cluster", "create", "warm-up", "--nodes", "0")  # makes the template, too
    platform.run("cluster", "delete", "warm-up", "--yes")
    for number in range(ROUNDS):
        ours.append(create(platform, f"bench-{number}"))
        floor.append(plain(platform, certificates))
    return [Figure("cluster of 3 nodes (1 manager, 2 workers)", "s", ours, floor, "floor: plain docker commands")]


def create(platform: Platform, name: str) -> float:
    """Return the seconds from the request until the cluster is complete."""
    body = {"name": name, "cluster_template_id": "swarm", "master_count": 1, "node_count": 2}
    began = time.monotonic()
    path = f"/clusters/{platform.clusters.post('/clusters', body)['uuid']}"
    until(lambda: platform.clusters.get(path)["status"] == "CREATE_COMPLETE")
    seconds = time.monotonic() - began
    platform.run("cluster", "delete", name, "--yes")
    return seconds


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def make_certificates(folder: pathlib.Path) -> pathlib.Path:
    authority = X509().authority("floor")
    client = X509().client(authority, "floor", 1)
    for name, address in {**NODES, "client": ""}.items():
        pair = X509().server(authority, name, address) if address else client
        tls = folder / name / TLS
        tls.mkdir(parents=True)
        for file, text in (("ca", pair.ca), ("cert", pair.cert), ("key", pair.key)):
            (tls / f"{file}.pem").write_text(text)
    return folder


def plain(platform: Platform, certificates: pathlib.Path) -> float:
    """Return the seconds that docker commands take for the same."""
    image = max(platform.engine.images.list("stackyard/node"), key=lambda each: each.attrs["Created"]).id
    try:
        began = time.monotonic()
        docker("network", "create", "--subnet", "10.184.77.0/24", NETWORK)
        for name, address in NODES.items():
            docker(
                "create", *rights(), "--name", name, "--hostname", name, "--network", NETWORK, "--ip", address, image
            )
            docker("cp", f"{certificates / name}/.", f"{name}:/")
            docker("start", name)
        for address in NODES.values():
            until(lambda address=address: answers(certificates, address))
        manager, *workers = NODES.values()
        on(certificates, manager, "swarm", "init", "--advertise-addr", manager)
        token = on(certificates, manager, "swarm", "join-token", "-q", "worker")
        for address in workers:
            on(certificates, address, "swarm", "join", "--token", token, f"{manager}:2377")
        until(lambda: on(certificates, manager, "node", "ls", "--format", "{{.Status}}").split() == ["Ready"] * 3)
        return time.monotonic() - began
    finally:
        subprocess.run(["docker", "rm", "-fv", *NODES], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)


def rights() -> Sequence[str]:
    flags = ["--cgroupns=private", "--tmpfs=/run:exec,mode=755", "-v=/var/lib/docker"]
    flags += [
        f"--security-opt={each}" for each in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
    ]
    privileged, capabilities = detect()
    if privileged:
        return [*flags, "--privileged"]
    return [*flags, "--device-cgroup-rule=a *:* rwm", *(f"--cap-add={each}" for each in capabilities)]


def on(certificates: pathlib.Path, address: str, *arguments: str) -> str:
    tls = certificates / "client" / TLS
    flags = [
        "--tlsverify",
        "--tlscacert",
        f"{tls}/ca.pem",
        "--tlscert",
        f"{tls}/cert.pem",
        "--tlskey",
        f"{tls}/key.pem",
    ]
    return docker("-H", f"tcp://{address}:2376", *flags, *arguments)


def answers(certificates: pathlib.Path, address: str) -> bool:
    try:
        return bool(on(certificates, address, "version", "--format", "{{.Server.Version}}"))
    except subprocess.CalledProcessError:
        return False
