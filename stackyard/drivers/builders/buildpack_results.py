# SPDX-License-Identifier: Apache-2.0
"""What buildpacks left in the workroom: the runner's words, and layers. Called by `buildpack_images`.

It comes from a container in which the tenant's code ran, so nothing in it is believed unread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from typing import IO, Any, cast

from stackyard.drivers.builders.layers import Layer
from stackyard.model import errors

MAX_RESULT = 4 * 1024**2
_SPOOL = 32 * 1024**2

EMPTY: dict[str, Any] = {
    "layers": [],
    "processes": [],
    "labels": {},
    "releases": [],
    "changes": [],
    "profile": [],
    "executed": [],
    "built_by": [],
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What the buildpacks left: their words, and layers by file name."""

    told: Mapping[str, Any]
    layers: Mapping[str, Layer]

    @classmethod
    def read(cls, tar: IO[bytes], stack: contextlib.ExitStack) -> Result:
        """Return the result in a tar; raises GiveUp where a buildpack has spoiled it."""
        tar.seek(0)
        told: dict[str, Any] | None = None
        layers: dict[str, Layer] = {}
        try:
            with tarfile.open(fileobj=tar, mode="r:") as outer:
                for entry in outer:
                    name, content = entry.name.rpartition("/")[2], outer.extractfile(entry) if entry.isreg() else None
                    if content is None:
                        continue
                    if name == "result.json":
                        told = json.loads(content.read(MAX_RESULT))
                    else:
                        layers[name] = _spooled(content, stack)
            return cls({**EMPTY, **(told or {})}, layers)
        except (tarfile.TarError, ValueError, TypeError) as error:
            raise errors.GiveUp(f"the buildpacks left no proper result: {error}") from error


def _spooled(content: IO[bytes], stack: contextlib.ExitStack) -> Layer:
    spool = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_SPOOL))  # noqa: SIM115
    shutil.copyfileobj(content, spool, 1024**2)
    return Layer.of_tar(cast(IO[bytes], spool))
