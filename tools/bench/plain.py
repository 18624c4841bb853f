# SPDX-License-Identifier: Apache-2.0
"""The floor of clusters: the same swarms by plain docker commands, one after the other, as a script would.

They run the very same node image with the same rights, and certificates that are made beforehand.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.machines.privileges import detect
from tools.bench.platform import Platform, until

TLS = "etc/stackyard/tls"
PREFIX = "sybench-floor"
MANAGER, WORKER = "manager", "worker"


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def write_tls(folder: pathlib.Path, ca: str, cert: str, key: str) -> None:
    folder.mkdir(parents=True)
    for file, text in (("ca", ca), ("cert", cert), ("key", key)):
        (folder / f"{file}.pem").write_text(text)


class Client:
    """Plain docker with a cluster's certificates, which are in `folder`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._flags = ["--tlsverify"]
        self._flags += [f"--tls{name}={folder}/{file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"))]
        self._flags.append(f"--tlskey={folder}/key.pem")

    def on(self, address: str, *arguments: str) -> str:
        return docker("-H", f"tcp://{address}:2376", *self._flags, *arguments)

    def info(self, address: str) -> Any:
        """Return what the engine says of its swarm; None while it does not answer."""
        try:
            return json.loads(self.on(address, "info", "--format", "{{json .Swarm}}"))
        except (subprocess.CalledProcessError, ValueError):
            return None

    def is_member(self, address: str, role: str) -> bool:
        """Tell whether the node works in its swarm: in its role, and known as ready there."""
        swarm = self.info(address)
        if not swarm or swarm["LocalNodeState"] != "active":
            return False
        return swarm["ControlAvailable"] if role == MANAGER else True

    def ready(self, address: str) -> int:
        """Return how many nodes this manager knows as ready; 0 where it does not answer."""
        try:
            return self.on(address, "node", "ls", "--format", "{{.Status}}").split().count("Ready")
        except subprocess.CalledProcessError:
            return 0


class Swarm:
    """A swarm of `managers` + `workers` nodes on network number `number`; `spare` workers may be added later."""

    def __init__(self, platform: Platform, number: int, managers: int, workers: int, spare: int = 0) -> None:
        self.image = max(platform.engine.images.list("stackyard/node"), key=lambda each: each.attrs["Created"]).id
        self.network, self._subnet = f"{PREFIX}-{number}", f"10.184.{number}"
        self._folder = platform.folder / self.network / str(time.monotonic_ns())
        roles = [MANAGER] * managers + [WORKER] * (workers + spare)
        self.nodes = [(f"{self.network}-{n}", f"{self._subnet}.{10 + n}", role) for n, role in enumerate(roles)]
        self.asked, self.spare = self.nodes[: managers + workers], self.nodes[managers + workers :]
        self._make_certificates()
        self.client = Client(self._folder / "client" / TLS)

    @property
    def manager(self) -> str:
        return self.nodes[0][1]

    def _make_certificates(self) -> None:
        authority = X509().authority("floor")
        client = X509().client(authority, "floor", 1)
        write_tls(self._folder / "client" / TLS, client.ca, client.cert, client.key)
        for name, address, _ in self.nodes:
            pair = X509().server(authority, name, address)
            write_tls(self._folder / name / TLS, pair.ca, pair.cert, pair.key)

    def create(self) -> float:
        """Make it; return the seconds that it took."""
        began = time.monotonic()
        docker("network", "create", "--subnet", f"{self._subnet}.0/24", self.network)
        self._start(self.asked)
        self.client.on(self.manager, "swarm", "init", "--advertise-addr", self.manager)
        self._join(self.asked[1:])
        until(lambda: self.client.ready(self.manager) == len(self.asked))
        return time.monotonic() - began

    def grow(self) -> float:
        """Add the spare workers; return the seconds that it took."""
        began = time.monotonic()
        self._start(self.spare)
        self._join(self.spare)
        until(lambda: self.client.ready(self.manager) == len(self.nodes))
        return time.monotonic() - began

    def revive(self, number: int) -> float:
        """Kill a node and start it again at once; return the seconds until it is back in its role."""
        name, address, role = self.nodes[number]
        other = next(each[1] for each in self.nodes if each[2] == MANAGER and each[0] != name)
        docker("kill", name)
        began = time.monotonic()
        docker("start", name)
        until(lambda: self.client.is_member(address, role) and self.client.ready(other) == len(self.asked))
        return time.monotonic() - began

    def _start(self, nodes: Sequence[tuple[str, str, str]]) -> None:
        for name, address, _ in nodes:
            place = ["--name", name, "--hostname", name, "--network", self.network, "--ip", address]
            docker("create", *rights(), *place, self.image)
            docker("cp", f"{self._folder / name}/.", f"{name}:/")
            docker("start", name)
        for _, address, _ in nodes:
            until(lambda address=address: self.client.info(address))

    def _join(self, nodes: Sequence[tuple[str, str, str]]) -> None:
        tokens = {role: self._token(role) for role in {role for _, _, role in nodes}}
        for _, address, role in nodes:
            self.client.on(address, "swarm", "join", "--token", tokens[role], f"{self.manager}:2377")

    def _token(self, role: str) -> str:
        return self.client.on(self.manager, "swarm", "join-token", "-q", role)

    def remove(self) -> None:
        names = [name for name, _, _ in self.nodes]
        subprocess.run(["docker", "rm", "-fv", *names], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", self.network], capture_output=True, check=False)

    def __enter__(self) -> Swarm:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def rights() -> Sequence[str]:
    flags = ["--cgroupns=private", "--tmpfs=/run:exec,mode=755", "-v=/var/lib/docker"]
    flags += [
        f"--security-opt={each}" for each in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
    ]
    privileged, capabilities = detect()
    if privileged:
        return [*flags, "--privileged"]
    return [*flags, "--device-cgroup-rule=a *:* rwm", *(f"--cap-add={each}" for each in capabilities)]
