# SPDX-License-Identifier: Apache-2.0
"""Which version of a language runs: what Debian 12 offers, unless the source tree asks for another one.

Called by `packs`. A wish that can't be met raises BadInput with its file and line, the offer and the cure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from stackyard.drivers.builders import ranges
from stackyard.drivers.builders.plans import Runtime
from stackyard.model import errors

_ANY = ("", "*", "node", "stable", "latest", "lts/*", "current", "system")


@dataclasses.dataclass(frozen=True)
class Offer:
    """A language at the one version that there is; of an exact wish the first `exact` numbers must agree."""

    name: str
    version: str
    exact: int = 2
    tilde_last: bool = False

    @property
    def shown(self) -> str:
        """Return the version as people ask for it."""
        return ".".join(self.version.split(".")[: self.exact])


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a source tree asks for, and where: `runtime.txt, line 1`."""

    where: str
    text: str


def choose(offer: Offer, wishes: Iterable[Wish], least: bool = False) -> Runtime:
    """Return the runtime, and the first wish as its reason; with `least` a wish is the lowest version that will do."""
    met = [wish for wish in wishes if _met(offer, wish, least)]
    reason = (
        f"{met[0].where}: {met[0].text.strip()}" if met else f"nothing asks for a version; {offer.shown} is offered"
    )
    return Runtime(offer.name, offer.shown, reason)


def _met(offer: Offer, wish: Wish, least: bool) -> bool:
    asked = wish.text.strip()
    offered = ranges.version(offer.version)
    if asked in _ANY:
        return True
    try:
        fits = ranges.allows(f">={asked}" if least else asked, offered, offer.exact, tilde_last=offer.tilde_last)
    except ValueError:
        raise errors.BadInput(f"{wish.where}: {asked!r} is no version of {offer.name}; {_cure(offer)}") from None
    if not fits:
        raise errors.BadInput(f"{wish.where} asks for {offer.name} {asked}; {_cure(offer)}")
    return True


def _cure(offer: Offer) -> str:
    return f"offered is {offer.version}: ask for {offer.shown}, or add a Dockerfile that brings another one"
