# SPDX-License-Identifier: Apache-2.0
"""Images made by laying files over another one, without running anything: in the registry, or on a node.

Used by `steps`, `executor` and `buildpack_images`. To a node goes an archive (Docker's own `save` format) that names
all layers and holds only the new ones: the engine has the others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any, BinaryIO, cast

from stackyard.drivers.builders import context
from stackyard.drivers.builders.engine import BuildNode
from stackyard.model import errors
from stackyard.model.ports import Registry

_SPOOL = 32 * 1024 * 1024
KEPT = "stackyard-made"
"""Name of images on a node; the tag tells their content but for labels, so that it is found again."""
_CREATED = "1980-01-01T00:00:00Z"  # the same tree must give the same image


@dataclasses.dataclass(frozen=True)
class Layer:
    """A tar of what lies over the layers below; the same files give the same digest."""

    stream: BinaryIO
    size: int
    digest: str

    @classmethod
    def of_tree(cls, tree: context.Files, owner: int, folders: Sequence[str]) -> Layer:
        """Return files for `/app` and empty folders for volumes, all owned by `owner`."""
        stream = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_SPOOL))  # noqa: SIM115  (closed by close)
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in ("app", *(name.strip("/") for name in folders)):
                tar.addfile(_folder(name, owner))
            context.add(tar, tree.folder, tree.names, "app/", owner)
        return cls.of_tar(stream)

    @classmethod
    def of_tar(cls, stream: IO[bytes]) -> Layer:
        """Return the layer that a tar is; it is closed with the layer."""
        stream.seek(0, os.SEEK_END)
        size = stream.tell()
        stream.seek(0)
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        stream.seek(0)
        return cls(cast(BinaryIO, stream), size, digest)

    def close(self) -> None:
        """Give its space back."""
        self.stream.close()


@dataclasses.dataclass(frozen=True)
class Overlay:
    """An image to be made of a base (as inspected) with layers on top and this config.

    `told` are labels that do not make it another one: where it was made before, it is taken with those of then.
    """

    base: dict[str, Any]
    layers: Sequence[Layer]
    config: dict[str, Any]
    told: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a digest of all that makes the image what it is."""
        return hashlib.sha256(_encoded(self._image(self.config))).hexdigest()[:40]

    def image(self) -> dict[str, Any]:
        """Return the image's whole configuration, as the OCI image specification has it."""
        return self._image({**self.config, "Labels": {**(self.config.get("Labels") or {}), **self.told}})

    def loaded(self, node: BuildNode) -> str:
        """Make the image on a node that has the base; return its id, made before or now."""
        name = f"{KEPT}:{self.key}"
        if known := node.inspect(name):
            return str(known["Id"])
        text = _encoded(self.image())
        if name not in _load(node, self.base, self.layers, text, name):
            raise errors.GiveUp(f"the engine of {node.name} did not keep the layer posted to it")
        return "sha256:" + hashlib.sha256(text).hexdigest()

    def _image(self, config: dict[str, Any]) -> dict[str, Any]:
        digests = [*self.base["RootFS"]["Layers"], *(layer.digest for layer in self.layers)]
        return {
            "architecture": self.base["Architecture"],
            "os": self.base["Os"],
            "created": _CREATED,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created": _CREATED, "created_by": "stackyard"} for _ in digests],
        }


def assembled(registry: Registry, below: str, overlay: Overlay, repository: str) -> str | None:
    """Make the image in the registry, of `below` there; return its reference by digest, None where `below` is not."""
    if not below:
        return None
    tag = f"made-{overlay.key}"
    digest = registry.digest(repository, tag)
    digest = digest or registry.assemble(below, overlay.layers, overlay.image(), repository, tag)
    return f"{registry.address()}/{repository}@{digest}" if digest else None


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _load(node: BuildNode, base: dict[str, Any], layers: Sequence[Layer], text: bytes, name: str) -> str:
    """Post the layers as an image of this name; return what the engine says of it."""
    below = len(base["RootFS"]["Layers"])
    names = [f"{number}/layer.tar" for number in range(below + len(layers))]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as archive:
        stream = cast(BinaryIO, archive)
        with tarfile.open(fileobj=stream, mode="w") as tar:
            _add(tar, "config.json", io.BytesIO(text), len(text))
            for path, layer in zip(names[below:], layers, strict=True):
                _add(tar, path, layer.stream, layer.size)
            _add(tar, "manifest.json", io.BytesIO(manifest), len(manifest))
        stream.seek(0)
        headers = {"Content-Type": "application/x-tar"}
        told = list(node.stream("/images/load", params={"quiet": "1"}, data=stream, headers=headers))
    refusal = next((message["error"] for message in told if "error" in message), None)
    if refusal:
        raise errors.GiveUp(f"the engine of {node.name} did not take the layer: {refusal}")
    return "".join(str(message.get("stream", "")) for message in told)


def _add(tar: tarfile.TarFile, name: str, content: Any, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, content)


def _folder(name: str, owner: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    entry.uid = entry.gid = owner
    return entry
