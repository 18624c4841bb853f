# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles read as far as needed: which images they begin with, which port they expose.

Called by `detect` and `engine_build`; the Engine alone understands the rest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_FLAG_FROM = re.compile(r"--from=(\S+)")


@dataclasses.dataclass
class _Stage:
    base: str
    name: str
    environment: dict[str, str]
    port: int | None = None


@dataclasses.dataclass(frozen=True)
class Dockerfile:
    """What was read: `images` to be there before a build, and the `port` of the last (or wanted) stage."""

    images: tuple[str, ...]
    port: int | None


def parse(text: str, args: Mapping[str, str] | None = None, target: str | None = None) -> Dockerfile:
    """Read a Dockerfile with build arguments; says nothing about whether it is right."""
    stages: list[_Stage] = []
    images: dict[str, None] = {}
    given = dict(args or {})
    top: dict[str, str] = {}
    for word, rest in _instructions(text):
        if word == "FROM" and (match := _FROM.fullmatch(rest)):
            stage = _stage(match, top, stages)
            _wanted(stage.base, stages, images)
            stages.append(stage)
        elif word == "ARG":
            _arguments(rest, stages[-1].environment if stages else top, given, top if stages else {})
        elif stages:
            _line(word, rest, stages, images)
    return Dockerfile(tuple(images), _port(stages, target))


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield (instruction, arguments) with continued lines joined and comments left out."""
    first = _ESCAPE.fullmatch(text.split("\n", 1)[0].strip())
    escape = first[1] if first else "\\"
    pending = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        stripped = line.rstrip()
        if stripped.endswith(escape):
            pending += stripped[:-1] + " "
            continue
        word, _, rest = (pending + stripped).strip().partition(" ")
        pending = ""
        yield word.upper(), rest.strip()


def _stage(match: re.Match[str], top: Mapping[str, str], stages: list[_Stage]) -> _Stage:
    base = _expand(match[1], top)
    before = _named(base, stages)
    inherited = dict(before.environment) if before else {}
    return _Stage(base, (match[2] or "").lower(), inherited, before.port if before else None)


def _line(word: str, rest: str, stages: list[_Stage], images: dict[str, None]) -> None:
    stage = stages[-1]
    if word == "ENV":
        stage.environment |= _assignments(rest, stage.environment)
    elif word == "EXPOSE" and stage.port is None:
        first = _expand(rest, stage.environment).split()
        number = first[0].partition("/")[0] if first else ""
        stage.port = int(number) if number.isascii() and number.isdigit() and 0 < int(number[:7]) < 65536 else None
    elif word == "COPY" and (match := _FLAG_FROM.search(rest)):
        _wanted(match[1], stages, images)


def _arguments(rest: str, scope: dict[str, str], given: Mapping[str, str], outer: Mapping[str, str]) -> None:
    for item in rest.split():
        name, equals, value = item.partition("=")
        if name in given:
            scope[name] = given[name]
        elif equals:
            scope[name] = _expand(value.strip("\"'"), scope)
        elif name in outer:
            scope[name] = outer[name]


def _assignments(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    if "=" not in rest.split(" ", 1)[0]:
        name, _, value = rest.partition(" ")
        return {name: _expand(value.strip(), known)}
    return {name: _expand(value.strip("\"'"), known) for name, _, value in (w.partition("=") for w in rest.split())}


def _wanted(image: str, stages: list[_Stage], images: dict[str, None]) -> None:
    if image.lower() != "scratch" and not image.isdigit() and not _named(image, stages):
        images.setdefault(image)


def _named(name: str, stages: list[_Stage]) -> _Stage | None:
    return next((stage for stage in reversed(stages) if stage.name and stage.name == name.lower()), None)


def _port(stages: list[_Stage], target: str | None) -> int | None:
    wanted = _named(target, stages) if target else None
    last = wanted or (stages[-1] if stages else None)
    return last.port if last else None


def _expand(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = known.get(match[1] or match[4])
        if match[2] == "+":
            return match[3] if found else ""
        return found or (match[3] or "" if match[2] else found or "")

    return _VARIABLE.sub(value, text.strip("\"'"))
