# SPDX-License-Identifier: Apache-2.0
"""Whether Gemfile.lock belongs to the Gemfile, as far as that can be told without running it. Called by `ruby`. Pure.

A Gemfile is a program. Lines `gem "name", "version"` are read; what stands under a condition is not counted on, and
whether the lock file has more is only judged where every line was understood.
"""

from __future__ import annotations

import dataclasses
import re

from stackyard.drivers.builders.packs.locks import disagrees

_GEM = re.compile(r"""gem[\s(]+(["'])([\w.-]+)\1\s*(.*)""")
_REQUIREMENT = re.compile(r"""\s*,\s*(["'])([^"'#]*)\1(?=\s*(?:,|\)|$|\#))""")
_OPENS = re.compile(r"(if|unless|case|while|until|for|def|begin)\b")
_BLOCK = re.compile(r"\bdo\s*(\|[^|]*\|)?$")
_ALWAYS = re.compile(r"(group|source|platforms?|git|path|github)\b")
_QUIET = re.compile(r"""(source|ruby|git_source|plugin)\b|[)\]}\s]*$|\#""")
_MODIFIER = re.compile(r"""["')\]\w]\s+(if|unless)\s""")
_COMMENT = re.compile(r"^=begin\b.*?^=end\b[^\n]*|^__END__$.*", re.M | re.S)
_LOCKED = re.compile(r"  ([\w.-]+)(?: \(([^)]*)\))?!?$")


@dataclasses.dataclass
class Asked:
    """Gems by name with their requirements (None where these are not told); `whole` if nothing else can add any."""

    gems: dict[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)
    whole: bool = True


def check(manifest: str, lock: str) -> None:
    """Raise BadInput naming the first gem in which Gemfile and Gemfile.lock differ."""
    asked, kept = read(manifest), locked(lock)
    for name, wanted in asked.gems.items():
        if name not in kept:
            raise _refusal(f"it has no {name}")
        if wanted is not None and wanted != kept[name]:
            shown = ", ".join(sorted(wanted)) or "any version"
            raise _refusal(f"it has locked {name} for {', '.join(sorted(kept[name])) or 'any version'}, not {shown}")
    gone = next((name for name in kept if asked.whole and name not in asked.gems), None)
    if gone:
        raise _refusal(f"{gone} is no longer asked for")


def _refusal(why: str) -> Exception:
    return disagrees("Gemfile.lock", "Gemfile", why, "bundle lock")


def read(manifest: str) -> Asked:
    """Return the gems that a Gemfile asks for in any case."""
    asked = Asked()
    open_blocks: list[bool] = []
    for raw in _COMMENT.sub("", manifest).splitlines():
        line = raw.strip()
        if line == "end" and open_blocks:
            open_blocks.pop()
        elif _OPENS.match(line) or _BLOCK.search(line):
            open_blocks.append(bool(_ALWAYS.match(line)))
            asked.whole &= open_blocks[-1]
        elif not _gem(line, all(open_blocks), asked) and not _QUIET.match(line):
            asked.whole = False
    return asked


def _gem(line: str, always: bool, asked: Asked) -> bool:
    """Note the gem of a line; tell whether it was one."""
    match = _GEM.match(line)
    if not match:
        return False
    if always and not _MODIFIER.search(line):
        asked.gems[match[2]] = _requirements(match[3])
    else:
        asked.whole = False
    return True


def _requirements(rest: str) -> frozenset[str] | None:
    """Return the versions asked for in Bundler's own words; None where more than plain texts say them."""
    found, place = set(), 0
    while match := _REQUIREMENT.match(rest, place):
        version = match[2].strip()
        found.add(version if re.match(r"[~<>=!]", version) else f"= {version}")
        place = match.end()
    # What follows must be options by name, the end, or a comment; a gem of a place of its own may have any version.
    left = rest[place:].strip()
    if left and not re.match(r"\)?\s*(\#|$)|,\s*(\w+:|:\w+\s*=>)", left):
        return None
    if re.search(r"\b(git|github|gist|path|bitbucket)(:|\s*=>)", left):
        return None
    return frozenset(re.sub(r"^([~<>=!]+)\s*", r"\1 ", each) for each in found) - {">= 0"}


def locked(lock: str) -> dict[str, frozenset[str]]:
    """Return the requirements by gem of the section DEPENDENCIES."""
    section = re.search(r"^DEPENDENCIES\n((?:  .*\n?)*)", lock, re.M)
    matches = [_LOCKED.match(line) for line in (section[1] if section else "").splitlines()]
    return {m[1]: frozenset(filter(None, (m[2] or "").split(", "))) for m in matches if m}
