# SPDX-License-Identifier: Apache-2.0
"""What a node is as a container: its settings, its certificates, and how the Engine describes it.

Used by the docker machines only; it sends nothing.
"""

from __future__ import annotations

import dataclasses
import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import docker
from docker.types import LogConfig, Mount

from stackyard.model.ports import Machine, MachineSpec, TLSPair

INSTANCE = "stackyard.instance"
CLUSTER = "stackyard.cluster"
GROUP = "stackyard.group"
ROLE = "stackyard.role"
IMAGE = "stackyard.image"
TRUST = "stackyard.trust"
ADDRESS = "stackyard.address"
LIMITED = "stackyard.limited"
NEW = "stackyard.new"
DATA = "/var/lib/docker"
TLS_FOLDER = "/etc/stackyard/tls"
STATES = {"running": "running", "created": "stopped", "paused": "stopped"}


def labels(instance: str, spec: MachineSpec, address: str) -> dict[str, str]:
    """Return the labels by which the node and its data are found again."""
    made_of = {IMAGE: spec.image, TRUST: spec.trust, ADDRESS: address}
    return {INSTANCE: instance, CLUSTER: spec.cluster_id, GROUP: spec.group_id, ROLE: spec.role, **made_of}


def limited(marks: Mapping[str, str]) -> bool:
    """Tell whether all limits asked for are enforced."""
    return marks.get(LIMITED) != "false"


def host_config(
    api: docker.APIClient, spec: MachineSpec, limits: Limits, capabilities: Sequence[str] | None
) -> dict[str, Any]:
    """Return the Engine's HostConfig; `capabilities` None means privileged."""
    config = api.create_host_config(
        restart_policy={"Name": "unless-stopped"},
        nano_cpus=int(limits.cpus * 1e9) or None,
        mem_limit=limits.memory_mb * 1024 * 1024 or None,
        memswap_limit=limits.memory_mb * 1024 * 1024 or None,
        privileged=capabilities is None,
        cap_add=None if capabilities is None else list(capabilities),
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=None if capabilities is None else ["a *:* rwm"],
        cgroupns="private",
        tmpfs={"/run": "exec,mode=755"},
        mounts=[Mount(target=DATA, source=spec.name, type="volume")],
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"}),
    )
    # The typed arguments have no word for these two; without them /proc/sys is read-only in the node.
    return dict(config) | {"MaskedPaths": [], "ReadonlyPaths": []}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a node may use (0: unlimited), and whether that is all that was asked for."""

    cpus: float
    memory_mb: int
    all: bool


def limits(spec: MachineSpec, facts: Mapping[str, Any]) -> Limits:
    """Return what the Engine of these facts (its /info) can enforce; more cores than it has are no limit."""
    cpus = min(spec.cpus, float(facts["NCPU"])) if facts.get("CpuCfsQuota") else 0
    memory_mb = spec.memory_mb if facts.get("MemoryLimit") else 0
    return Limits(cpus, memory_mb, bool(cpus) >= bool(spec.cpus) and memory_mb == spec.memory_mb)


def archive(tls: TLSPair, files: Mapping[str, str]) -> bytes:
    """Return a tar of the node's certificates and further files (absolute path: text), to be unpacked at /."""
    wanted = dict(files)
    for name, text in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        wanted[f"{TLS_FOLDER}/{name}.pem"] = text
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in wanted.items():
            data = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def machine(summary: Mapping[str, Any], network: str) -> Machine:
    """Return the machine that one entry of the Engine's container list describes."""
    return _machine(summary["Labels"], name(summary), address(summary, network), _state(summary))


def absent(volume: Mapping[str, Any]) -> Machine:
    """Return the machine of which only this data volume is left."""
    return _machine(volume["Labels"], volume["Name"], volume["Labels"].get(ADDRESS, ""), "absent")


def _machine(marks: Mapping[str, str], name: str, address: str, state: str) -> Machine:
    return Machine(
        name=name,
        cluster_id=marks[CLUSTER],
        group_id=marks[GROUP],
        role=marks[ROLE],
        address=address,
        state=state,
        image=marks.get(IMAGE, ""),
        trust=marks.get(TRUST, "1..1"),
        limited=limited(marks),
    )


def name(summary: Mapping[str, Any]) -> str:
    """Return the node's name."""
    return str(summary["Names"][0]).removeprefix("/")


def made_of(summary: Mapping[str, Any], spec: MachineSpec) -> bool:
    """Tell whether the node was made of the image and with the trust that are wanted."""
    marks = summary["Labels"]
    return (marks.get(IMAGE), marks.get(TRUST)) == (spec.image, spec.trust)


def address(summary: Mapping[str, Any], network: str) -> str:
    """Return the node's fixed address, which it has also while it is stopped."""
    endpoint = summary["NetworkSettings"]["Networks"].get(network) or {}
    fixed = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
    return str(fixed or endpoint.get("IPAddress") or "")


def _state(summary: Mapping[str, Any]) -> str:
    clean_exit = summary["State"] == "exited" and "(0)" in summary["Status"]
    return STATES.get(summary["State"], "stopped" if clean_exit else "failed")
