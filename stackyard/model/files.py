# SPDX-License-Identifier: Apache-2.0
"""Files that a release brings into its containers: Compose's configs and secrets, and what operators lay over them.

Texts are kept as templates in the words of the Compose Specification: `${KEY}` stands for a value of the environment's
config and `$$` for a dollar sign. Values are put in only when a run is made; nothing here knows how.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackyard.model.ports import Secrets

READABLE = 0o444
MAX_FILE = 256 * 1024
MAX_FILES = 512 * 1024
"""Bytes of one file and of all files of a release: they are kept with it, and engines take 500 kB of one."""


@dataclasses.dataclass(frozen=True)
class File:
    """A config or (`secret`) a secret of an application, by its name in the Compose file.

    An `ini` file is merged with what is laid over it, other files are replaced. `options` is what is known of the
    options that an INI file may have, as JSON ("": nothing). The text of a secret is `sealed` before it is kept.
    """

    name: str
    text: str = dataclasses.field(default="", repr=False)
    secret: bool = False
    ini: bool = False
    options: str = dataclasses.field(default="", repr=False)
    sealed: bool = False


@dataclasses.dataclass(frozen=True)
class FileMount:
    """A config or secret in the containers of a service: at `target`, owned by `uid` and `gid`, with a `mode`."""

    file: str
    target: str
    secret: bool = False
    uid: int = 0
    gid: int = 0
    mode: int = READABLE


@dataclasses.dataclass(frozen=True)
class Overlay:
    """What an operator lays over a config in an environment: for one `service` or `node` only where they are named.

    Its `text` is as it was given: `${KEY}` is replaced, any other `$` means itself.
    """

    file: str
    text: str = dataclasses.field(repr=False)
    service: str = ""
    node: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what there is one overlay of at most."""
        return (self.file, self.service, self.node)


def opened(secrets: Secrets, sealed: str | None) -> tuple[Overlay, ...]:
    """Return the overlays that were sealed as one text."""
    return tuple(Overlay(**fields) for fields in json.loads(secrets.open(sealed))) if sealed else ()


def sealed(secrets: Secrets, overlays: Sequence[Overlay]) -> str | None:
    """Return overlays as one sealed text, None for none."""
    kept = [dataclasses.asdict(each) for each in sorted(overlays, key=lambda each: each.place)]
    return secrets.seal(json.dumps(kept)) if kept else None


@dataclasses.dataclass(frozen=True)
class RunFile:
    """A file as a container gets it: `text` in clear, on some `nodes` (by name) another one.

    A `secret` one holds values of config, or is a secret: no engine may show it to who asks.
    """

    target: str
    text: str = dataclasses.field(repr=False)
    secret: bool = False
    uid: int = 0
    gid: int = 0
    mode: int = READABLE
    nodes: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    def on(self, node: str) -> str:
        """Return the text that a container on this node gets."""
        return self.nodes.get(node, self.text)
