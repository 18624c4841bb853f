# SPDX-License-Identifier: Apache-2.0
"""Connections to the engines of nodes: mutual TLS with the cluster's own CA, kept and shared by thread-safe pools.

Used by every driver that talks to a node; knows nothing of clusters or applications.
"""

from __future__ import annotations

import atexit
import email.utils
import functools
import hashlib
import pathlib
import shutil
import tempfile
import threading

import docker
import docker.tls

from stackyard.model.ports import NodeAccess, TLSPair

PORT = 2376
TIMEOUT = 60


@functools.cache
def _folder() -> pathlib.Path:
    """Return this process's private folder (0700) for certificates, which the TLS library wants as files."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stackyard-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.lru_cache(maxsize=512)
def _files(tls: TLSPair) -> tuple[str, str, str]:
    name = hashlib.sha256((tls.ca + tls.cert).encode()).hexdigest()[:16]
    paths = []
    for suffix, text in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        path = _folder() / f"{name}-{suffix}.pem"
        draft = path.with_suffix(f".{threading.get_ident()}")
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)  # at once: another thread may be reading the same certificate
        paths.append(str(path))
    return paths[0], paths[1], paths[2]


@functools.lru_cache(maxsize=256)
def _client(address: str, tls: TLSPair, timeout: float) -> docker.DockerClient:
    ca, cert, key = _files(tls)
    config = docker.tls.TLSConfig(client_cert=(cert, key), ca_cert=ca, verify=True)
    client = docker.DockerClient(
        base_url=f"https://{address}:{PORT}", tls=config, version="1.41", timeout=int(timeout), max_pool_size=32
    )
    # A proxy or a CA bundle of the host's environment would come before the cluster's own CA.
    client.api.trust_env = False
    return client


def connect(node: NodeAccess, timeout: float = TIMEOUT) -> docker.DockerClient:
    """Return a client of the node's engine; nothing is sent until it is used. `timeout` is in seconds per read."""
    return _client(node.address, node.tls, timeout)


def clock(api: docker.APIClient, timeout: float = TIMEOUT) -> float:
    """Return the time of the engine's own clock, whole seconds since the epoch."""
    answer = api.get(f"{api.base_url}/_ping", timeout=timeout)
    answer.raise_for_status()
    return email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
