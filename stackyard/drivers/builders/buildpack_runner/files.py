# SPDX-License-Identifier: Apache-2.0
"""Files that buildpacks and the platform hand to each other: TOML, and tars that depend on nothing but contents."""

from __future__ import annotations

import json
import pathlib
import re
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

TIME = 315532801  # 1980-01-01T00:00:01Z, as the specification has it: the same files give the same layer

Table = dict[str, Any]


class Failure(Exception):
    """What ends the build, in words for its log."""


def pack_tar(target: pathlib.Path, folder: pathlib.Path) -> None:
    """Write a folder with all its parents as a tar that depends on names, modes and contents only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in [*reversed(folder.parents[:-1]), folder, *_below(folder)]:
            entry: tarfile.TarInfo | None = tar.gettarinfo(path, str(path).lstrip("/"))
            if entry is None:  # a socket
                continue
            entry.uid = entry.gid = 1000
            entry.uname = entry.gname = ""
            entry.mtime = TIME
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def toml(table: Mapping[str, Any]) -> str:
    """Return a table of plain values as TOML."""
    return "".join(f"{_key(str(name))} = {_value(value)}\n" for name, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(name))} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return _text(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(path: pathlib.Path) -> Table:
    """Return the table in a TOML file, an empty one where there is no such file; raises Failure."""
    try:
        return tomllib.loads(path.read_text()) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is no TOML: {error}") from None


def write(path: pathlib.Path, text: str) -> None:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def say(text: str) -> None:
    """Tell a line of the build's output."""
    print(text, flush=True)
