# SPDX-License-Identifier: Apache-2.0
"""Version ranges as npm, Composer, Bundler and Python packaging write them. Called by `versions`. Pure."""

from __future__ import annotations

import re

Version = tuple[int, ...]
_HYPHEN = re.compile(r"(\d\S*)\s+-\s+(\S+)")
_PART = re.compile(r"(\^|~>|~=|~|>=|<=|!=|={1,3}|>|<)?\s*v?(\d+(?:\.\d+)*)?((?:\.?[xX*])*)(?:[-+@][\w.-]+)?(?:\s+|$)")


def version(text: str) -> Version:
    """Return the numbers of a version such as `3.11` or `v18.20.4`."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:4])


def allows(asked: str, offered: Version, exact: int, *, tilde_last: bool = False) -> bool:
    """Tell whether a range allows a version; raises ValueError when it can't be read.

    Of a version asked for by itself only the first `exact` numbers count. `~1.2` allows 1.3 with `tilde_last`
    (Composer), else it doesn't (npm); `~>` and `~=` always do.
    """
    alternatives = re.split(r"\|\|?", asked.replace("`", ""))
    return True in [
        _all(part, offered, exact, tilde_last) for part in alternatives
    ]  # all are read, so that all are checked


def _all(asked: str, offered: Version, exact: int, tilde_last: bool) -> bool:
    text = _HYPHEN.sub(r">=\1 <=\2", asked.replace(",", " ")).strip()
    place, verdicts = 0, [True]
    while place < len(text):
        match = _PART.match(text, place)
        if not match or not (match[2] or match[3]):
            raise ValueError(asked)
        place = match.end()
        if match[2]:
            verdicts.append(_one(match[1] or "=", version(match[2]), offered, exact, tilde_last))
    return all(verdicts)


def _one(sign: str, asked: Version, offered: Version, exact: int, tilde_last: bool) -> bool:
    alike = offered[: len(asked)]
    if sign in ("~>", "~=") or (sign == "~" and tilde_last):
        return alike >= asked and _same(asked, offered, max(1, len(asked) - 1))
    if sign == "~":
        return alike >= asked and _same(asked, offered, 2)
    if sign == "^":
        return alike >= asked and _same(asked, offered, 1 if asked[0] else 2)
    if sign in (">=", "<=", ">", "<"):
        return {">=": alike >= asked, "<=": alike <= asked, ">": alike > asked, "<": alike < asked}[sign]
    if sign == "!=":
        return alike != asked
    return _same(asked, offered, exact)


def _same(asked: Version, offered: Version, numbers: int) -> bool:
    return asked[:numbers] == offered[: min(numbers, len(asked))]
