# SPDX-License-Identifier: Apache-2.0
"""Compose `configs` and `secrets`: what files there are, and which service gets them where.

Called by `compose`; reads files of the source tree through the function that it is given. Raises only BadInput.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stackyard.drivers.builders import documents
from stackyard.drivers.files import ini, options, templates
from stackyard.model import errors
from stackyard.model.applications import Service
from stackyard.model.files import MAX_FILE, MAX_FILES, READABLE, File, FileMount

KINDS = ("configs", "secrets")
MAX_OPTIONS, MAX_VALUES = 4 * 1024 * 1024, 400_000
SECRETS_FOLDER = "/run/secrets"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_OCTAL = re.compile(r"0?o?[0-7]{3}")
_SOURCES = ("file", "content", "environment")


def escaped(document: Any) -> Any:
    """Return a document in which the contents of configs survive the interpolation of all the rest."""
    configs = document.get("configs") if isinstance(document, dict) else None
    if not isinstance(configs, dict):
        return document
    return {**document, "configs": {name: _escaped(asked) for name, asked in configs.items()}}


def _escaped(asked: Any) -> Any:
    if not isinstance(asked, dict) or not isinstance(asked.get("content"), str):
        return asked
    return {**asked, "content": templates.literal(asked["content"])}


def files(document: Mapping[str, Any], read: Callable[[str], str]) -> tuple[File, ...]:
    """Return all configs and secrets of a document; raises BadInput for one that can't be."""
    found = [
        _file(name, asked or {}, read, secret=kind == "secrets")
        for kind in KINDS
        for name, asked in (document.get(kind) or {}).items()
    ]
    total = sum(len(file.text.encode()) for file in found)
    if total > MAX_FILES:
        raise errors.BadInput(
            f"configs and secrets hold {total} bytes; {MAX_FILES} is the limit, since each release keeps them:"
            " put what is large into the image"
        )
    return tuple(found)


def _file(name: str, asked: Mapping[str, Any], read: Callable[[str], str], *, secret: bool) -> File:
    where = f"{'secret' if secret else 'config'} {name!r}"
    if not _NAME.fullmatch(name):
        raise errors.BadInput(f"{where}: a name must consist of letters, digits, '_', '.' and '-'")
    own = asked.get("x-stackyard") or {}
    is_ini = bool(own.get("ini"))
    text = _text(asked, own, read, where)
    if not text.strip() or len(text.encode()) > MAX_FILE:
        raise errors.BadInput(f"{where} is {f'larger than {MAX_FILE} bytes' if text.strip() else 'empty'}")
    templates.keys(text, where)
    known = _options(own["options"], read, where) if "options" in own else ""
    if is_ini:
        options.check(known, text, where) if known else ini.parse(text, where)
    elif known:
        raise errors.BadInput(f"{where}: options are of INI files; add 'ini: true' beside them")
    return File(name, text, secret=secret, ini=is_ini, options=known)


def _options(path: str, read: Callable[[str], str], where: str) -> str:
    """Return what a file written by oslo-config-generator, as JSON or YAML, says of a program's options."""
    text, where = read(path), f"{where}: {path}"
    try:
        found = json.loads(text) if text.startswith("{") else documents.load(text, MAX_OPTIONS, MAX_VALUES)
    except (ValueError, RecursionError, errors.BadInput) as error:
        raise errors.BadInput(f"{where}: {error}") from None
    return options.reduced(found, where)


def _text(asked: Mapping[str, Any], own: Mapping[str, Any], read: Callable[[str], str], where: str) -> str:
    """Return the template that a config or secret is made from."""
    named = [key for key in _SOURCES if asked.get(key) is not None]
    if len(named) != 1:
        raise errors.BadInput(f"{where} must have one of file, content and environment")
    if named == ["content"]:
        return str(asked["content"])
    if named == ["environment"]:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", asked["environment"]):
            raise errors.BadInput(f"{where}: {asked['environment']!r} is no key of the application's config")
        return f"${{{asked['environment']}}}"
    text = read(asked["file"].removeprefix("./"))
    return templates.braced(text) if own.get("ini") or own.get("interpolate") else templates.literal(text)


def mounts(asked: Mapping[str, Any], where: str) -> tuple[FileMount, ...]:
    """Return what a service asks for in its `configs` and `secrets`; no two have the same target."""
    found = [
        _mount(entry, f"{kind} of {where}", secret=kind == "secrets") for kind in KINDS for entry in asked.get(kind, [])
    ]
    targets = [mount.target for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise errors.BadInput(f"{where}: two files have the target {target!r}")
    return tuple(found)


def _mount(entry: str | Mapping[str, Any], where: str, *, secret: bool) -> FileMount:
    if isinstance(entry, str):
        entry = {"source": entry}
    name = str(entry["source"])
    target = str(entry.get("target") or name)
    folder = SECRETS_FOLDER if secret else "/"
    if not target.startswith("/") and (secret or "target" not in entry):
        target = posixpath.join(folder, target)
    normal = posixpath.normpath(target)
    if not normal.startswith("/") or normal.strip("/") == "" or target.endswith("/") or "\0" in target:
        raise errors.BadInput(f"{where}: target {target!r} of {name!r} must be the absolute path of a file")
    return FileMount(
        name,
        "/" + normal.strip("/"),
        secret=secret,
        uid=_number(entry.get("uid", 0), f"{where}: uid of {name!r}"),
        gid=_number(entry.get("gid", 0), f"{where}: gid of {name!r}"),
        mode=_mode(entry.get("mode"), f"{where}: mode of {name!r}"),
    )


def _number(asked: Any, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", str(asked)):
        raise errors.BadInput(f"{where} must be a number, not {str(asked)[:40]!r}")
    return int(str(asked))


def _mode(asked: Any, where: str) -> int:
    """Return a mode that is written as octal, with or without a zero before it, as all of them are meant."""
    if asked is None:
        return READABLE
    if not _OCTAL.fullmatch(str(asked)):
        raise errors.BadInput(f"{where} must be octal with three digits; write for example 0440")
    return int(str(asked).removeprefix("0").removeprefix("o"), 8)


def check(services: Iterable[Service], found: Sequence[File]) -> None:
    """Raise for services that ask for files which are not declared."""
    there = {(file.name, file.secret) for file in found}
    for service in services:
        for mount in service.files:
            if (mount.file, mount.secret) not in there:
                kind = "secret" if mount.secret else "config"
                raise errors.BadInput(
                    f"service {service.name!r} asks for {kind} {mount.file!r}, which is not declared;"
                    f" add it at the file's end: '{kind}s: {{{mount.file}: {{file: ...}}}}'"
                )
