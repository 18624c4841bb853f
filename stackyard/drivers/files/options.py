# SPDX-License-Identifier: Apache-2.0
"""Checks of INI files against the options that a program knows, as oslo.config's generator tells of them.

Called where a source is read and where overlays are set. The rules are those of oslo.config's validator, values are
judged by oslo.config's own types; both in this process, since the validator's start costs more than the rest of a push
(docs/decisions/022). Raises only BadInput; a value is named only when its option is no secret.
"""

from __future__ import annotations

import base64
import difflib
import functools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from oslo_config import types, validator

from stackyard.drivers.files import ini
from stackyard.model import errors

ANY_GROUP = "*"
"""Options that a group of any name may have: programs make groups that no generator knows, such as Glance's stores."""
_TOLD = 10
_KEPT = ("name", "dest", "type", "min", "max", "choices", "secret")
_NOTHING: tuple[object, ...] = (None, "", [], {})

Option = Mapping[str, Any]
Known = Mapping[str, Any]


def reduced(document: Any, where: str) -> str:
    """Return what is checked of what a generator wrote (decoded), packed as text; raises BadInput."""
    try:
        options = {
            group: {"opts": [_kept(each) for each in said["opts"]]} for group, said in document["options"].items()
        }
        old = document.get("deprecated_options") or {}
        names = {group: [{"name": str(each["name"])} for each in found] for group, found in old.items()}
    except (KeyError, TypeError, AttributeError):
        raise errors.BadInput(f"{where} is not what 'oslo-config-generator --format yaml' writes") from None
    data = json.dumps({"options": options, "deprecated_options": names}, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(data.encode(), 9)).decode()


def _kept(option: Mapping[str, Any]) -> Option:
    """Return an option without what is for people; `choices` comes with or without descriptions."""
    found = {part: option[part] for part in _KEPT if option.get(part) not in _NOTHING}
    found["name"] = str(option["name"])
    if "choices" in found:
        found["choices"] = [each[0] if isinstance(each, list | tuple) else each for each in found["choices"]]
    return found


@functools.lru_cache(maxsize=32)
def _unpacked(known: str) -> Known:
    data = known if known.startswith("{") else zlib.decompress(base64.b64decode(known))
    return dict(json.loads(data))


def check(known: str, text: str, where: str) -> None:
    """Accept an INI file (a template) of known options with values of their types; raises BadInput naming others."""
    wrong = list(_complaints(_unpacked(known), ini.parse(text, where)))
    if wrong:
        more = [f"and {len(wrong) - _TOLD} more"] if len(wrong) > _TOLD else []
        raise errors.BadInput(f"{where}: {'; '.join(wrong[:_TOLD] + more)}")


def _complaints(known: Known, found: ini.Options) -> Iterator[str]:
    groups = {group: _by_name(said["opts"]) for group, said in known["options"].items()}
    for section, options in found.items():
        here = groups.get(section) or groups.get(ANY_GROUP, {})
        old = {each["name"] for each in known["deprecated_options"].get(section, [])}
        for name, values in options.items():
            if name in here:
                yield from _judged(here[name], f"[{section}] {name}", values)
            elif name not in old and section not in validator.KNOWN_BAD_GROUPS:
                yield f"[{section}] {name} is not known{_nearest(groups, section, name)}"


def _by_name(options: Sequence[Option]) -> dict[str, Option]:
    return {name: each for each in options for name in (each["name"], each.get("dest")) if name} | {
        each["name"].replace("-", "_"): each for each in options
    }


def _nearest(groups: Mapping[str, Mapping[str, Option]], section: str, name: str) -> str:
    """Return a hint for who mistyped an option or its section, "" without an idea."""
    elsewhere = [group for group, options in groups.items() if name in options and group != ANY_GROUP]
    if near := difflib.get_close_matches(section, elsewhere, 1):
        return f"; [{near[0]}] has it"
    if section in groups and (near := difflib.get_close_matches(name, groups[section], 1)):
        return f"; did you mean {near[0]}?"
    if elsewhere and len(elsewhere) <= 3:
        return f"; [{'], ['.join(elsewhere)}] {'has' if len(elsewhere) == 1 else 'have'} it"
    if section not in groups:
        near = difflib.get_close_matches(section, groups, 1)
        return f", as its section is not{f'; did you mean [{near[0]}]?' if near else ''}"
    return ""


_TYPES: dict[str, Callable[..., Any]] = {
    kind().type_name: kind
    for kind in (types.Boolean, types.Float, types.IPAddress, types.HostAddress, types.HostDomain, types.Hostname)
}
_TYPES |= {kind().type_name: kind for kind in (types.Integer, types.URI, types.Dict)}
_TYPES["port value"] = types.Port
_TYPES["string value"] = functools.partial(types.String, ignore_case=True)
"""By the names that the generator gives them; of others (lists, for example) it does not tell what may be in them."""
_LIMITS = {
    "integer value": ("min", "max", "choices"),
    "port value": ("min", "max", "choices"),
    "floating point value": ("min", "max"),
    "string value": ("choices",),
}


def _judged(option: Option, place: str, values: Sequence[str]) -> Iterator[str]:
    kind = option.get("type", "")
    if kind not in _TYPES:
        return
    limits = {limit: option[limit] for limit in _LIMITS.get(kind, ()) if limit in option}
    for value in values:
        if "$" in value:
            continue  # a value of config, or of another option: known where it is used
        try:
            _TYPES[kind](**limits)(value)
        except (ValueError, TypeError) as error:
            yield f"{place} is no {kind}{'' if option.get('secret') else f': {str(error)[:200]}'}"
