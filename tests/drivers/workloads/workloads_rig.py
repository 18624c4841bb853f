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
import docker.types

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.engines.connection import connect
from stackyard.drivers.machines import privileges
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, NodeAccess, TLSPair

PREFIX = "sytest-workloads-"
IMAGE = f"{PREFIX}busybox"
COMMANDS = "sh cat dd echo env head httpd id ls mkdir nslookup printf pwd seq sleep tr usleep wget yes"
RECIPE = (
    "FROM stackyard/base\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox-static\n"
)


@contextlib.contextmanager
def swarm(nodes: int, node_image: str) -> Iterator[tuple[ClusterAccess, str]]:
    """Yield a formed swarm, and the id of an image that all its nodes have."""
    outer = docker.from_env(timeout=120)
    suffix = uuid.uuid4().hex[:6]
    network = outer.networks.create(f"{PREFIX}{suffix}", driver="bridge")
    try:
        access = _form(outer, network, nodes, node_image)
        yield access, _load(outer, access)
    finally:
        for container in outer.containers.list(all=True, filters={"network": network.id}):
            container.remove(force=True, v=True)
        network.remove()


def _form(outer: docker.DockerClient, network: docker.models.networks.Network, count: int, image: str) -> ClusterAccess:
    certificates = X509()
    authority = certificates.authority("workloads")
    client = certificates.client(authority, "tests", 1)
    nodes = []
    for number in range(count):
        name = f"{network.name}-{number}"
        address = _start(outer, network.name, name, image)
        _certify(outer, name, certificates.server(authority, name, address))
        nodes.append(NodeAccess(name, address, "worker" if number else "master", client))
    for node in nodes:
        until(lambda node=node: _client(node).ping(), 60)
    manager = _client(nodes[0])
    manager.swarm.init(advertise_addr=nodes[0].address, listen_addr="0.0.0.0:2377")
    manager.swarm.reload()
    token = manager.swarm.attrs["JoinTokens"]["Worker"]
    for node in nodes[1:]:
        remote = [f"{nodes[0].address}:2377"]
        _client(node).swarm.join(remote_addrs=remote, join_token=token, advertise_addr=node.address)
    until(lambda: len([node for node in manager.nodes.list() if node.attrs["Status"]["State"] == "ready"]) == count, 30)
    return ClusterAccess(str(uuid.uuid4()), tuple(nodes))


def _client(node: NodeAccess) -> docker.DockerClient:
    client = connect(node)
    client.api.trust_env = False  # REQUESTS_CA_BUNDLE would replace the cluster's own CA
    return client


def _start(outer: docker.DockerClient, network: str, name: str, image: str) -> str:
    everything, capabilities = privileges.detect()
    options = (
        {"Privileged": True}
        if everything
        else {
            "CapAdd": list(capabilities),
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "DeviceCgroupRules": ["a *:* rwm"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
        }
    )
    host = outer.api.create_host_config(network_mode=network) | options | {"CgroupnsMode": "private"}
    outer.api.create_container(image, name=name, hostname=name, host_config=host)
    container = outer.containers.get(name)
    container.start()
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])


def _certify(outer: docker.DockerClient, name: str, pair: TLSPair) -> None:
    files = {f"etc/stackyard/tls/{key}.pem": text.encode() for key, text in vars(pair).items()}
    outer.containers.get(name).put_archive("/", _tar(files))


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
    full, _ = outer.images.build(fileobj=io.BytesIO(RECIPE.encode()), tag=f"{IMAGE}-full", rm=True)
    source = outer.containers.create(full, "true", name=f"{PREFIX}{uuid.uuid4().hex[:6]}")
    try:
        packed = b"".join(source.get_archive("/bin/busybox")[0])
    finally:
        source.remove()
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
        _client(node).images.load(data)
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


def node_image() -> str:
    """Return the image of nodes."""
    return os.environ.get("STACKYARD_TEST_NODE_IMAGE", "stackyard/node")
