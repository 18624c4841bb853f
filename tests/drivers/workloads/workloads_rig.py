# SPDX-License-Identifier: Apache-2.0
"""What the tests of workloads run on: a small swarm of node containers, and an image of two megabytes."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator

import docker
import docker.errors

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.engines.connection import connect
from stackyard.drivers.engines.swarm import SwarmEngine
from stackyard.drivers.machines.docker import DockerMachines
from stackyard.drivers.machines.purge import purge
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, MachineSpec, NodeAccess

PREFIX = "sytest-workloads-"
SUBNETS = "10.183.0.0/16"  # not the platform's own, so that a running one is not disturbed
X = X509()
IMAGE = f"{PREFIX}busybox"
COMMANDS = "sh cat dd echo env head httpd id ls mkdir nslookup printf pwd seq sleep tr usleep wget yes"
RECIPE = "FROM {base}\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox-static\n"


@contextlib.contextmanager
def swarm(nodes: int) -> Iterator[tuple[ClusterAccess, str]]:
    """Yield a formed swarm, and the id of an image that all its nodes have."""
    outer = docker.from_env(timeout=120)
    instance = f"{PREFIX}{uuid.uuid4().hex[:6]}"
    node_image = images.build(outer, ["node"], lambda _name, _line: None)["node"]
    try:
        access = _form(DockerMachines(outer, instance, lambda _: node_image, SUBNETS), nodes)
        yield access, _load(outer, access)
    finally:
        purge(outer, instance)
        outer.close()


def _form(machines: DockerMachines, count: int) -> ClusterAccess:
    authority = X.authority("tests of workloads")
    client = X.client(authority, "tests of workloads", 1)
    cluster, engine = str(uuid.uuid4()), SwarmEngine()
    machines.ensure_network(cluster)
    nodes = []
    for number in range(count):
        role = "worker" if number else "master"
        spec = MachineSpec(f"{PREFIX}{cluster[:8]}-{number}", cluster, f"group-{role}", role, "node")
        made = machines.create(spec, lambda address: X.server(authority, "node", address))
        nodes.append(NodeAccess(made.name, made.address, role, client))
    until(lambda: all(engine.look(node) for node in nodes), 60)
    engine.init(nodes[0])
    for node in nodes[1:]:
        engine.join(node, nodes[0])
    until(lambda: [each.state for each in engine.members(nodes[0])] == ["ready"] * count, 30)
    return ClusterAccess(cluster, tuple(nodes))


def _tar(files: dict[str, bytes], links: dict[str, str] | None = None, mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return buffer.getvalue()


def _image(outer: docker.DockerClient) -> docker.models.images.Image:
    """Return the test image: a static busybox and nothing else."""
    with contextlib.suppress(docker.errors.ImageNotFound):
        return outer.images.get(IMAGE)
    base = images.build(outer, ["base"], lambda _name, _line: None)["base"]
    recipe = RECIPE.format(base=base).encode()
    full, _ = outer.images.build(fileobj=io.BytesIO(recipe), tag=f"{IMAGE}-full", rm=True)
    source = outer.containers.create(full, "true", name=f"{PREFIX}{uuid.uuid4().hex[:6]}")
    try:
        packed = b"".join(source.get_archive("/bin/busybox")[0])
    finally:
        source.remove()
        outer.images.remove(full.id, force=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        binary = archive.extractfile("busybox").read()
    links = {f"bin/{command}": "busybox" for command in COMMANDS.split()}
    tree = _tar({"bin/busybox": binary}, links, 0o755)
    outer.api.import_image_from_data(tree, repository=IMAGE, changes=["ENV PATH=/bin"])
    return outer.images.get(IMAGE)


def _load(outer: docker.DockerClient, access: ClusterAccess) -> str:
    image = _image(outer)
    data = b"".join(image.save(named=True))
    for node in access.nodes:
        connect(node).images.load(data)
    return str(image.id)


def until(condition: Callable[[], object], seconds: float = 20.0) -> object:
    """Return the condition's value once it is true; AssertionError with the last one after `seconds`."""
    end = time.monotonic() + seconds
    value: object = None
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (docker.errors.DockerException, errors.Unavailable, OSError) as error:
            value = error
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {value!r}")


def node_count() -> int:
    """Return how many nodes the swarm of the tests has (STACKYARD_TEST_NODES)."""
    return int(os.environ.get("STACKYARD_TEST_NODES", "3"))
