# SPDX-License-Identifier: Apache-2.0
"""Templates of files: `${KEY}` for a value of config, `$$` for a dollar sign, as in the Compose Specification.

Called by `rendering`, by the reader of Compose files and where operators' files come in. Raises only BadInput.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from stackyard.drivers.files import interpolation

_DOLLARS = re.compile(r"\$\$\{|\$\{|\$")


class _Named(Mapping[str, str]):
    """Has a value for every name: the reference itself; remembers what was asked for."""

    def __init__(self, known: Mapping[str, str], asked: set[str]) -> None:
        self.known = known
        self.asked = asked

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.known.get(name, f"${{{name}}}")

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def literal(text: str) -> str:
    """Return the template of a text in which nothing is replaced."""
    return text.replace("$", "$$")


def braced(text: str) -> str:
    """Return the template of a text in which only `${KEY}` is replaced; `$${` stands for `${`, any other `$` stays."""
    return _DOLLARS.sub(lambda found: found[0] if "{" in found[0] else "$$", text)


def keys(text: str, where: str) -> frozenset[str]:
    """Return the keys of config that a template names; raises BadInput for what is no template."""
    asked: set[str] = set()
    interpolation.interpolate(text, _Named({}, asked), where)
    return frozenset(asked)


def filled(text: str, values: Mapping[str, str], where: str) -> str:
    """Return the text with values put in; raises BadInput naming the key that config lacks."""
    done: str = interpolation.interpolate(text, values, where, "set it: stackyard config APP set %s=...")
    return done


def shown(text: str, values: Mapping[str, str], secret: Collection[str], where: str = "") -> str:
    """Return the text for people: with values put in, but for secret and missing ones, which stay `${KEY}`."""
    clear = {key: value for key, value in values.items() if key not in secret}
    done: str = interpolation.interpolate(text, _Named(clear, set()), where)
    return done
