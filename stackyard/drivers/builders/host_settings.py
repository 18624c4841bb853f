# SPDX-License-Identifier: Apache-2.0
"""Where this host's own npm, Go, Maven, Bundler and Composer get packages from, as files for builds.

Called by `host`. Passwords, paths of this host and proxies on its loopback never travel.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import urllib.parse
import xml.sax.saxutils
from collections.abc import Iterator
from xml.etree import ElementTree

VARIABLES_FILE, MAVEN_FILE, COMPOSER_FILE = "variables.sh", "settings.xml", "config.json"
_GO = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOSUMCHECK", "GOPRIVATE", "GONOPROXY", "GOINSECURE")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_LOOPBACK = re.compile(r"^(localhost|127\.|\[?::1)")


def files() -> dict[str, str]:
    """Return the files by name; those of tools without settings are left out."""
    made = {
        VARIABLES_FILE: "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _variables()),
        MAVEN_FILE: _maven(),
        COMPOSER_FILE: _composer(),
    }
    return {name: text for name, text in made.items() if text}


def travels(value: str) -> bool:
    """Tell whether a setting may go to a tenant's node: no path of this host, no password."""
    parts = urllib.parse.urlsplit(value)
    return parts.scheme != "file" and not value.startswith("/") and parts.password is None and parts.username is None


def _variables() -> Iterator[tuple[str, str]]:
    for name, value in (*_npm(), *_go(), *_bundler(), *_proxies()):
        if value and all(travels(word) for word in re.split(r"[\s,|]+", value)):
            yield name, value


def _npm() -> Iterator[tuple[str, str]]:
    """Yield the registry for npm and both kinds of yarn; the environment goes before files."""
    found = next((value for name, value in os.environ.items() if name.lower() == "npm_config_registry"), None)
    for path in (pathlib.Path.home() / ".npmrc", pathlib.Path("/etc/npmrc"), pathlib.Path("/usr/etc/npmrc")):
        match = re.search(r"^\s*registry\s*=\s*(\S+)", _text(path), re.M)
        found = found or (match[1] if match else None)
    if found:
        yield "npm_config_registry", found
        yield "YARN_NPM_REGISTRY_SERVER", found


def _go() -> Iterator[tuple[str, str]]:
    named = os.environ.get("GOENV") or str(pathlib.Path.home() / ".config/go/env")
    settings = dict(re.findall(r"^(GO\w+)=(.*)$", _text(pathlib.Path(named)), re.M))
    for name in _GO:
        yield name, os.environ.get(name) or settings.get(name, "").strip()


def _bundler() -> Iterator[tuple[str, str]]:
    """Yield mirrors as Bundler's own variables, from ~/.bundle/config and the environment."""
    text = _text(pathlib.Path.home() / ".bundle/config")
    found = dict(re.findall(r"^(BUNDLE_MIRROR__\w+):\s*\"?([^\"\n]+)\"?\s*$", text, re.M))
    found |= {name: value for name, value in os.environ.items() if name.startswith("BUNDLE_MIRROR__")}
    yield from sorted(found.items())


def _proxies() -> Iterator[tuple[str, str]]:
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.upper()) or ""
        host = urllib.parse.urlsplit(value).hostname or ""
        if value and not _LOOPBACK.match(host):
            yield name, value
            yield name.upper(), value


def _maven() -> str:
    """Return a settings.xml with the mirrors of this host's, without its servers and their passwords."""
    named = os.environ.get("MAVEN_SETTINGS_XML") or str(pathlib.Path.home() / ".m2/settings.xml")
    mirrors = "".join(_mirror(each) for each in _elements(_text(pathlib.Path(named)), "mirror"))
    return f"<settings><mirrors>{mirrors}</mirrors></settings>\n" if mirrors else ""


def _mirror(fields: dict[str, str]) -> str:
    if not travels(fields.get("url", "/")):
        return ""
    inner = "".join(
        f"<{name}>{xml.sax.saxutils.escape(fields[name])}</{name}>"
        for name in ("id", "mirrorOf", "url")
        if name in fields
    )
    return f"<mirror>{inner}</mirror>"


def _elements(text: str, name: str) -> Iterator[dict[str, str]]:
    try:
        root = ElementTree.fromstring(text) if text else ElementTree.Element("settings")  # noqa: S314  (our own host's)
    except ElementTree.ParseError:
        return
    for element in root.iter():
        if element.tag.rpartition("}")[2] == name:
            yield {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}


def _composer() -> str:
    """Return a config.json for Composer with the repositories of this host's."""
    home = pathlib.Path(os.environ.get("COMPOSER_HOME") or pathlib.Path.home() / ".config/composer")
    try:
        found = json.loads(_text(home / "config.json") or "{}").get("repositories") or {}
    except (ValueError, AttributeError):
        return ""
    named = found.items() if isinstance(found, dict) else enumerate(found)
    kept = {
        str(name): each
        for name, each in named
        if each is False or (isinstance(each, dict) and travels(str(each.get("url", "/"))) and "options" not in each)
    }
    return json.dumps({"repositories": kept}) if kept else ""


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
