# SPDX-License-Identifier: Apache-2.0
"""Images written in the registry as another one of it with layers on top; used by `distribution`.

No engine has a part in it: an application's files are served by the nodes that pull them, a third of a second sooner
than where a node takes them first and pushes them.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from stackyard.drivers.registries.manifests import SCHEMA2, Manifest, Manifests
from stackyard.model.ports import Tar

_SPOOL = 32 * 1024 * 1024
_FAST = 1
_LAYER = {
    SCHEMA2: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.manifest.v1+json": "application/vnd.oci.image.layer.v1.tar+gzip",
}


def assemble(
    manifests: Manifests, below: tuple[str, str], layers: Sequence[Tar], config: Mapping[str, Any], to: tuple[str, str]
) -> str | None:
    """Return the digest of what is written as `to` (repository, tag); None where `below` (with a digest) is gone."""
    source, digest = below
    repository, tag = to
    base = manifests.read(source, digest)
    if base is None or base.diff_ids != config["rootfs"]["diff_ids"][: len(base.diff_ids)]:
        return None
    added = [_put(manifests, repository, layer, base) for layer in layers]
    document = {**base.document, "layers": [*base.document["layers"], *added]}
    # Most often they are there, from the application's last image.
    written = manifests.write(repository, tag, document, config)
    if written is None and _mounted(manifests, repository, source, base):
        written = manifests.write(repository, tag, document, config)
    return written


def _mounted(manifests: Manifests, repository: str, source: str, base: Manifest) -> bool:
    return all(manifests.mount(repository, layer["digest"], source) for layer in base.document["layers"])


def _put(manifests: Manifests, repository: str, layer: Tar, base: Manifest) -> dict[str, Any]:
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spooled:
        # The same files must give the same image: neither name nor time goes into it.
        with gzip.GzipFile("", "wb", _FAST, cast(BinaryIO, spooled), mtime=0) as packed:
            shutil.copyfileobj(layer.stream, packed)
        layer.stream.seek(0)
        size = spooled.tell()
        digest = manifests.put(repository, cast(BinaryIO, spooled))
    kind = _LAYER[base.document.get("mediaType", SCHEMA2)]
    return {"mediaType": kind, "size": size, "digest": digest}
