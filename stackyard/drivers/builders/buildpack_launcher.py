# SPDX-License-Identifier: Apache-2.0
"""The program that starts an application made by buildpacks: a shell script with the environment they asked for.

Called by `buildpack_images`. Pure; the words of the Cloud Native Buildpack API and of Heroku's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.builders import documents
from stackyard.drivers.builders.plans import APP, PORT
from stackyard.model import errors

LAUNCHER = "/cnb/launcher"
TYPE = "CNB_PROCESS_TYPE"
"""The variable that says which process a container is."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPE = re.compile(r"[A-Za-z0-9._-]{1,63}")

_FUNCTIONS = """
_append() { if [ -n "${!1}" ]; then export "$1=${!1}$3$2"; else export "$1=$2"; fi; }
_prepend() { if [ -n "${!1}" ]; then export "$1=$2$3${!1}"; else export "$1=$2"; fi; }
_default() { if [ -z "${!1+set}" ]; then export "$1=$2"; fi; }
_override() { export "$1=$2"; }
"""


_READ = """
import re, shlex, sys, tomllib
try:
    found = tomllib.load(sys.stdin.buffer)
except ValueError as error:
    sys.exit(f"wrote no proper TOML: {error}")
for name, value in found.items():
    if not isinstance(value, str) or "\\0" in value or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        sys.exit(f"wrote {name!r}, which is no variable with a text")
    print("export", f"{name}={shlex.quote(value)}")
"""
# What a program of exec.d writes to its third stream is TOML; its own output is the application's.
_EXECUTE = f"""
_execute() {{
  local said words
  {{ said="$("$1" 3>&1 1>&4 4>&-)"; }} 4>&1 || {{ echo "$1 failed" >&2; exit 1; }}
  words="$(printf '%s\\n' "$said" | python3 -I -c {shlex.quote(_READ)})" || {{ echo "what failed is $1" >&2; exit 1; }}
  eval "$words"
}}
"""


def processes(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the processes that buildpacks named, later ones in place of earlier ones of the same type."""
    found: dict[str, dict[str, Any]] = {}
    for release in result["releases"]:
        types = _release(release).get("default_process_types") or {}
        for name, command in types.items() if isinstance(types, dict) else ():
            found[str(name)] = {"type": str(name), "command": str(command), "direct": False}
    for process in result["processes"]:
        found[str(process["type"])] = dict(process)
    return [process for name, process in found.items() if _TYPE.fullmatch(name)]


def default(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the type that is started where nothing says which: the last default, else `web`, else the only one."""
    marked = [str(process["type"]) for process in found if process.get("default") is True]
    types = [str(process["type"]) for process in found]
    if marked:
        return marked[-1]
    return "web" if "web" in types or len(types) != 1 else types[0]


def script(result: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the launcher: environment, exec.d, profiles, then the words given or the process."""
    kinds = sorted({str(process["type"]) for process in found})
    shown = ", ".join(kinds) or "none"
    lines = [
        "#!/bin/bash",
        _FUNCTIONS,
        f"known={shlex.quote(' '.join(kinds))}",
        f'process="${{{TYPE}:-{default(found)}}}"',
        f'case " $known " in *" $process "*) ;; *) process={shlex.quote(default(found))} ;; esac',
        f'export {TYPE}="$process" CNB_APP_DIR={APP} CNB_LAYERS_DIR=/layers',
        f'export PORT="${{PORT:-{PORT}}}"',
        *_config_vars(result),
        *(line for change in result["changes"] for line in _change(*change)),
        f"cd {APP}",
        *([_EXECUTE] if result.get("executed") else []),
        *(_executed(*each) for each in result.get("executed", ())),
        *(_profile(*each) for each in result.get("profile", ())),
        'for file in .profile.d/*.sh; do if [ -f "$file" ]; then . "$file"; fi; done',
        "if [ -f .profile ]; then . ./.profile; fi",
        'if [ $# -gt 0 ]; then exec "$@"; fi',
        'case "$process" in',
        *(f"{shlex.quote(str(process['type']))}) {_start(process)} ;;" for process in found),
        "esac",
        f"echo 'no process '\"$process\"'; the buildpacks named: {shown}' >&2",
        "exit 64",
    ]
    return "\n".join(lines) + "\n"


def _change(process: str, how: str, name: str, value: str, delimiter: str) -> list[str]:
    if not _NAME.fullmatch(name):
        return []
    if how not in ("append", "prepend", "default", "override"):
        return []
    line = shlex.join([f"_{how}", name, value, delimiter])
    return [f'if [ "$process" = {shlex.quote(process)} ]; then {line}; fi'] if process else [line]


def _profile(process: str, path: str) -> str:
    line = f". {shlex.quote(path)}"
    return f'if [ "$process" = {shlex.quote(process)} ]; then {line}; fi' if process else line


def _executed(process: str, path: str) -> str:
    line = f"_execute {shlex.quote(path)}"
    return f'if [ "$process" = {shlex.quote(process)} ]; then {line}; fi' if process else line


def _config_vars(result: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for release in result["releases"]:
        variables = _release(release).get("config_vars") or {}
        for name, value in variables.items() if isinstance(variables, dict) else ():
            found += _change("", "default", str(name), str(value), "")
    return found


def _start(process: Mapping[str, Any]) -> str:
    folder = process.get("working-dir")
    before = f"cd {shlex.quote(str(folder))} && " if folder else ""
    command = process.get("command", "")
    arguments = [str(each) for each in process.get("args") or ()]
    if isinstance(command, list):
        return before + "exec " + shlex.join([*(str(each) for each in command), *arguments])
    if process.get("direct"):
        return before + "exec " + shlex.join([str(command), *arguments])
    shell = f'{command} "$@"' if arguments else str(command)
    return before + "exec " + shlex.join(["bash", "-c", shell, "bash", *arguments])


def _release(text: str) -> dict[str, Any]:
    try:
        found = documents.load(text)
    except errors.BadInput as error:
        raise errors.GiveUp(f"bin/release of a buildpack wrote no proper YAML: {error}") from error
    return found if isinstance(found, dict) else {}
