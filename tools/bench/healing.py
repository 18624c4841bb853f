# SPDX-License-Identifier: Apache-2.0
"""Healing: from the end of a node's container until it is back in its role, and all nodes are ready for their managers.

The floor is the same for a swarm of plain docker, whose node is started again at once by hand. Both keep their data.
"""

from __future__ import annotations

import time

from tools.bench.cluster import Cluster, prepare
from tools.bench.figure import Figure
from tools.bench.plain import MANAGER, WORKER, Client, Swarm
from tools.bench.platform import Platform, until

ROUNDS = 3
MANAGERS, WORKERS = 3, 1
FLOOR = "floor: `docker start` at once"


def measure(platform: Platform) -> list[Figure]:
    prepare(platform)
    with Cluster(platform, "heal", MANAGERS, WORKERS) as cluster, Swarm(platform, 1, MANAGERS, WORKERS) as swarm:
        cluster.create()
        swarm.create()
        figures = []
        for role, victim in ((WORKER, MANAGERS), (MANAGER, 1)):
            ours = [heal(platform, cluster, role) for _ in range(ROUNDS)]
            floor = [swarm.revive(victim) for _ in range(ROUNDS)]
            figures.append(Figure(f"healing of a killed {role} (of {MANAGERS}+{WORKERS})", "s", ours, floor, FLOOR))
    return figures


def heal(platform: Platform, cluster: Cluster, role: str) -> float:
    """Kill one node of the role; return the seconds until it is back."""
    found = cluster.show()
    client = Client(platform.folder / "heal")
    platform.run("cluster", "config", cluster.name, "--dir", str(platform.folder / "heal"))
    fields = {MANAGER: "master_addresses", WORKER: "node_addresses"}
    managers, victim = found["master_addresses"], found[fields[role]][-1]
    node = container(platform, victim)
    platform.engine.api.kill(node)
    began = time.monotonic()

    def is_back() -> bool:
        address = address_of(platform, node)
        return bool(address) and client.is_member(address, role) and client.ready(managers[0]) == MANAGERS + WORKERS

    until(is_back)
    return time.monotonic() - began


def container(platform: Platform, address: str) -> str:
    """Return the name of the node with this address: it is the same when the node is made anew."""
    names = {address_of(platform, each.name): each.name for each in platform.nodes()}
    return str(names[address])


def address_of(platform: Platform, name: str) -> str:
    """Return a node's address; "" while it does not run."""
    found = [each for each in platform.nodes() if each.name == name and each.status == "running"]
    networks = found[0].attrs["NetworkSettings"]["Networks"] if found else {}
    return next((str(each["IPAddress"]) for each in networks.values() if each["IPAddress"]), "")
