# SPDX-License-Identifier: Apache-2.0
"""What the tests of machines and engines share: clusters with certificates, on fakes or on the real Engine."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator

import docker

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.engines.swarm import SwarmEngine
from stackyard.drivers.fake import FakeEngine, FakeMachines
from stackyard.drivers.machines.docker import DockerMachines
from stackyard.drivers.machines.purge import purge
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.ports import Engine, Machine, Machines, MachineSpec, Member, NodeAccess, TLSPair

SUBNETS = "10.182.0.0/16"  # not the platform's own, so that a running one is not disturbed
X = X509()
CA = X.authority("tests of nodes")
CLIENT = X.client(CA, "tests of nodes", 1)


@dataclasses.dataclass
class World:
    """Machines and an engine of one kind, and a new cluster for each test."""

    machines: Machines
    engine: Engine
    client: docker.DockerClient | None = None
    instance: str = ""
    cluster: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    def spec(self, number: int, role: str = "worker") -> MachineSpec:
        name = f"sytest-nodes-{self.cluster[:8]}-{number}"
        return MachineSpec(name, self.cluster, f"group-{role}", role, "node")

    def create(self, number: int, role: str = "worker") -> NodeAccess:
        return access(self.machines.create(self.spec(number, role), issue))

    def machine(self, number: int) -> Machine:
        found = self.machines.list(self.cluster)
        return next(machine for machine in found if machine.name == self.spec(number).name)

    def answering(self, number: int, role: str = "worker") -> NodeAccess:
        """Make a machine and wait until its engine answers."""
        made = self.create(number, role)
        until(lambda: self.engine.look(made))
        return made

    def states(self, manager: NodeAccess) -> dict[str, str]:
        """Return the states of the members by the last part of their names; none without quorum."""
        try:
            return {member.name.rpartition("-")[2]: member.state for member in self.engine.members(manager)}
        except errors.Unavailable:
            return {}

    def member(self, manager: NodeAccess, name: str) -> Member:
        return next(found for found in self.engine.members(manager) if found.name == name)


def issue(address: str) -> TLSPair:
    return X.server(CA, "node", address)


def access(machine: Machine) -> NodeAccess:
    return NodeAccess(machine.name, machine.address, machine.role, CLIENT)


@contextlib.contextmanager
def world(kind: str) -> Iterator[World]:
    if kind == "fake":
        machines = FakeMachines()
        yield World(machines, FakeEngine(machines))
        return
    client = docker.from_env(timeout=120)
    instance = f"sytest-nodes-{uuid.uuid4().hex[:6]}"
    reference = images.build(client, ["node"], lambda name, line: None)["node"]
    try:
        made = DockerMachines(client, instance, lambda _: reference, SUBNETS)
        yield World(made, SwarmEngine(), client, instance)
    finally:
        purge(client, instance)
        client.close()


def until(condition: Callable[[], object], seconds: float = 60) -> object:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return value
