# SPDX-License-Identifier: Apache-2.0
"""Options of OpenStack's services on the command line: `nova/DEFAULT.debug=true` laid over the service's own file.

Called by `stackyard openstack reconfigure`. What is laid over a file is kept by the platform and merged there, so this
only puts one option into what is kept. Talks HTTP only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from stackyard.cli.openstack.packages import APP
from stackyard.cli.session import Session, quote
from stackyard.drivers.files import ini
from stackyard.model import errors

EXAMPLE = "nova/DEFAULT.debug=true"
WHERE = "nova/DEFAULT.debug"

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a service's file; `value` None takes away what was laid over it."""

    config: str
    section: str
    name: str
    value: str | None


def parsed(sets: Iterable[str], unsets: Iterable[str]) -> list[Option]:
    """Return what is written as SERVICE/SECTION.OPTION=VALUE, and without a value; raises UsageError."""
    found = [_option(*_split(word), EXAMPLE) for word in sets]
    return [*found, *(_option(word, None, WHERE) for word in unsets)]


def _split(word: str) -> tuple[str, str]:
    where, equals, value = word.partition("=")
    if not equals:
        raise click.UsageError(f"{word!r} has no value; write for example {EXAMPLE}")
    return where, value


def _option(where: str, value: str | None, example: str) -> Option:
    config, slash, rest = where.partition("/")
    section, dot, name = rest.rpartition(".")
    if not (config and slash and section and dot and name):
        raise click.UsageError(f"{where!r} is not of the form SERVICE/SECTION.OPTION; write for example {example}")
    if value is not None and ("\n" in value or "\r" in value):
        raise click.UsageError(f"the value of {where} has several lines; an INI file takes one")
    return Option(config.strip(), section.strip(), name.strip(), value)


def overlays(session: Session, asked: Sequence[Option]) -> dict[str, str | None]:
    """Return what is to be laid over each file that options are asked for, None for nothing any more.

    Raises NotFound for a service without such a file, and for an option that is to be taken away and was never set.
    """
    known = {each["name"]: each for each in session.get(f"/apps/{APP}/files")}
    for option in asked:
        if not known.get(option.config, {}).get("ini"):
            there = ", ".join(sorted(name for name, each in known.items() if each["ini"]))
            raise errors.NotFound(f"no service has a file {option.config} with options; there are: {there or 'none'}")
    return {config: _overlay(session, config, asked) for config in dict.fromkeys(each.config for each in asked)}


def _overlay(session: Session, config: str, asked: Sequence[Option]) -> str | None:
    own = session.get(f"/apps/{APP}/files/{quote(config)}")["own"]
    options = ini.parse(own or "", config)
    for option in (each for each in asked if each.config == config):
        _put(options, option)
    kept = {section: found for section, found in options.items() if found}
    return ini.written(kept) if kept else None


def _put(options: ini.Options, option: Option) -> None:
    section = options.setdefault(option.section, {})
    if option.value is not None:
        section[option.name] = [option.value]
    elif section.pop(option.name, None) is None:
        raise errors.NotFound(
            f"{option.config}/{option.section}.{option.name} was not set; it is as the package has it"
        )


def differences(session: Session, wanted: Mapping[str, str | None]) -> list[Json]:
    """Return what would change in the file of each service, changing nothing."""
    found: list[Json] = []
    for config, text in wanted.items():
        told = session.post(f"/apps/{APP}/files/{quote(config)}/diff", {"content": text})
        found += [{"config": config, **each} for each in told]
    return found


def lay(session: Session, wanted: Mapping[str, str | None]) -> Json | None:
    """Lay the texts over the files; return the answer with the newest release, None where there is nothing to lay."""
    answer: Json | None = None
    for config, text in wanted.items():
        path = f"/apps/{APP}/files/{quote(config)}"
        answer = session.delete(path) if text is None else session.put(path, {"content": text})
    return answer
