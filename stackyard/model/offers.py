# SPDX-License-Identifier: Apache-2.0
"""What a platform offers to those who ask for clusters: images, flavors, networks, and the labels of each engine.

Read from the options once; intents check requests against it, and the API publishes it.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TypeVar

from stackyard.model import errors

_SPACE = uuid.UUID("5f0c5ed1-7a2b-4c9b-9d0e-6f2a4c1b7d10")


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(_SPACE, f"{kind}/{name}"))


@dataclasses.dataclass(frozen=True)
class Offer:
    """Something that a request may name, by id or by name."""

    name: str

    @property
    def id(self) -> str:
        """Return the same id on every platform, for clients that want UUIDs."""
        return _id(type(self).__name__, self.name)

    @property
    def words(self) -> tuple[str, ...]:
        """Return all that a request may call it."""
        return self.id, self.name


@dataclasses.dataclass(frozen=True)
class Image(Offer):
    """An image of nodes."""

    os_distro: str = "debian"

    @property
    def words(self) -> tuple[str, ...]:
        """Return all that a request may call it, the product's own prefix included."""
        return self.id, self.name, f"stackyard-{self.name}"


@dataclasses.dataclass(frozen=True)
class Flavor(Offer):
    """The size of a node: cores and MiB of memory, 0 for no limit."""

    cpus: float = 0
    memory_mb: int = 0


@dataclasses.dataclass(frozen=True)
class Network(Offer):
    """A network that a template may name."""

    external: bool = False


@dataclasses.dataclass(frozen=True)
class Label:
    """A label that an engine's driver understands: `kind` is boolean, integer or text; `help` says what it does."""

    name: str
    kind: str
    help: str
    default: str = ""
    lowest: int = 0
    highest: int = 2**31 - 1

    def check(self, value: str) -> None:
        """Raise BadInput unless the value has the label's form."""
        if self.kind == "boolean" and value.lower() not in ("true", "false"):
            raise errors.BadInput(f"label {self.name} must be true or false: {self.help}")
        if self.kind == "integer" and not (_NUMBER.fullmatch(value) and self.lowest <= int(value) <= self.highest):
            span = f"{self.lowest} to {self.highest}"
            raise errors.BadInput(f"label {self.name} must be a number from {span}: {self.help}")


_NUMBER = re.compile(r"[0-9]{1,10}")
Labels = Mapping[str, Label]

T = TypeVar("T", bound=Offer)


@dataclasses.dataclass(frozen=True)
class Offers:
    """Everything that requests may name; `labels` are those of each engine (coe) that there is a driver for."""

    images: Sequence[Image] = (Image("node"),)
    flavors: Sequence[Flavor] = ()
    networks: Sequence[Network] = (Network("public", external=True), Network("private"))
    labels: Mapping[str, Labels] = dataclasses.field(default_factory=dict)


def images(text: str) -> tuple[Image, ...]:
    """Return the images that an option names: `NAME` or `NAME:OS_DISTRO`, with commas between them."""
    return tuple(Image(*parts) for parts in _parts(text))


def flavors(text: str) -> tuple[Flavor, ...]:
    """Return the flavors that an option names: `NAME:CORES:MEMORY_MB`, with commas between them."""
    return tuple(Flavor(name, float(cpus), int(memory)) for name, cpus, memory in _parts(text))


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks that an option names: `NAME` or `NAME:external`, with commas between them."""
    return tuple(Network(parts[0], external=len(parts) > 1) for parts in _parts(text))


def _parts(text: str) -> list[list[str]]:
    return [item.strip().split(":") for item in text.split(",")]


def find(offers: Sequence[T], ident: str, word: str) -> T:
    """Return the one of this id or name; raises BadInput that lists what there is."""
    for offer in offers:
        if ident in offer.words:
            return offer
    have = ", ".join(offer.name for offer in offers) or "none"
    raise errors.BadInput(f"{word} '{ident[:64]}' is not known here; there are: {have}")


def check_labels(known: Labels, labels: Mapping[str, str]) -> None:
    """Raise BadInput naming the first label that the driver does not know or whose value has a wrong form.

    Names with a '.' or '/' in them are the users' own and pass.
    """
    for name, value in labels.items():
        if name in known:
            known[name].check(value)
        elif not {".", "/"} & set(name):
            have = ", ".join(sorted(known)) or "none"
            raise errors.BadInput(
                f"label {name[:64]} is not known to this engine; it knows: {have}. "
                "Labels of your own have a '.' or '/' in their names"
            )


SWARM_LABELS: Labels = {
    label.name: label
    for label in (
        Label("auto_healing_enabled", "boolean", "replace nodes that died; false only reports them", "true"),
        Label("drain_seconds", "integer", "how long what runs on a node may take to move before the node goes", "30"),
        Label("managers_run_services", "boolean", "let managers run services too", "true"),
    )
}


def setting(known: Labels, labels: Mapping[str, str], name: str) -> str:
    """Return a label's value, or its default."""
    return labels.get(name, known[name].default).lower()
