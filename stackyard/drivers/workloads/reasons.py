# SPDX-License-Identifier: Apache-2.0
"""Why a replica is over, or is not there yet, in words with a cause and, where there is one, a cure.

Called by `observe.py`; pure. Takes what engines and swarm say; knows no connection.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

MEMORY_CURE = "give it more with deploy.resources.limits.memory in compose.yaml"
_SIGNAL_BASE = 128
_SIGNALS = 64
_KILLED = 137
_CODES = {
    0: "it ended by itself; a service goes on running",
    125: "its container could not be started",
    126: "its command can't be executed: is it marked as executable?",
    127: "its command was not found: is it in the image, under this name?",
}
_SIGNALLED = {
    signal.SIGABRT: "it gave itself up",
    signal.SIGSEGV: "it touched memory that is not its own",
    signal.SIGILL: "built for another kind of processor?",
    signal.SIGTERM: "it was asked to stop",
}
_COMMAND = re.compile(r'exec: "(?P<command>[^"]*)": (?P<cause>[^:]*(?:: no such file or directory)?)')
_TASK_EXIT = re.compile(r"task: non-zero exit \((\d+)\)(?:: (.*))?", re.DOTALL)
_NO_NODE = re.compile(r"no suitable node(?: \((?P<why>.*)\))?", re.DOTALL)
_WHY_NOT = (
    ("insufficient resources", "too few free cores or too little free memory"),
    ("scheduling constraints not satisfied", "not the node that holds its volumes"),
    ("host-mode port already in use", "its port is taken"),
    ("unsupported platform", "another kind of processor than the image is built for"),
)
_IMAGE = re.compile(r"no such image|manifest unknown|pull access denied|not found: manifest", re.IGNORECASE)


def exit_reason(details: Mapping[str, Any], error: str = "") -> str:
    """Return why a container is over: by its inspection, else by what swarm says of its task."""
    state = details.get("State", {})
    limit = int(details.get("HostConfig", {}).get("Memory") or 0)
    if state.get("OOMKilled"):
        return out_of_memory(limit)
    if (state.get("Health") or {}).get("Status") == "unhealthy":
        return f"stopped because its health check failed{_last_probe(state['Health'])}"
    if state.get("Error"):
        return _unstarted(str(state["Error"]))
    if not state:
        return task_reason(error) or "ended"
    return of_code(int(state.get("ExitCode", 0)), limit)


def out_of_memory(limit: int) -> str:
    """Return the words for a container that was killed for its memory; `limit` in bytes, 0 for none of its own."""
    if not limit:
        return "ran out of memory: its node has no more, and it has no limit of its own"
    return f"ran out of memory: its limit is {mebibytes(limit)}; {MEMORY_CURE}"


def of_code(code: int, limit: int = 0) -> str:
    """Return an exit code in words; `limit` is the container's memory limit in bytes (0: none)."""
    number = code - _SIGNAL_BASE
    if code == _KILLED and limit:
        # The engine forgets that memory ran out when it hears of it after the end.
        return f"killed by signal 9 (SIGKILL), probably out of memory: its limit is {mebibytes(limit)}; {MEMORY_CURE}"
    if 0 < number <= _SIGNALS:
        return f"killed by signal {number}{_of_signal(number)}"
    meaning = _CODES.get(code)
    return f"exited with code {code}" + (f" ({meaning})" if meaning else "")


def task_reason(error: str) -> str:
    """Return what swarm says of a task, in plainer words; what is not known here stays as it is."""
    exited = _TASK_EXIT.fullmatch(error)
    if exited:
        return exited[2] or of_code(int(exited[1]))
    unplaced = _NO_NODE.fullmatch(error)
    if unplaced:
        return "no node fits" + (f": {_why_not(unplaced['why'])}" if unplaced["why"] else "")
    if _IMAGE.search(error):
        return f"its image can't be pulled: {error}"
    return _unstarted(error) if _COMMAND.search(error) else error


def mebibytes(size: int) -> str:
    """Return a number of bytes as people write limits."""
    return f"{size / (1 << 30):g} GiB" if size >= 1 << 30 and size % (1 << 29) == 0 else f"{size / (1 << 20):.4g} MiB"


def _of_signal(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return ""
    meaning = _SIGNALLED.get(known)
    return f" ({known.name}{f': {meaning}' if meaning else ''})"


def _unstarted(error: str) -> str:
    """Return why a command could not be started, without the runtime's own layers of words."""
    match = _COMMAND.search(error)
    if not match:
        return f"could not start: {error}"
    command, cause = match["command"], match["cause"].strip()
    if "not found" in cause or "no such file" in cause:
        return f"could not start: its command {command!r} was not found; is it in the image, under this name?"
    if "permission denied" in cause:
        return f"could not start: its command {command!r} can't be executed; mark it as executable (chmod +x)"
    if "exec format error" in error:
        return f"could not start: its command {command!r} is no program for this kind of processor"
    return f"could not start: its command {command!r}: {cause}"


def _why_not(told: str) -> str:
    pieces = [piece.strip() for piece in told.split(";")]
    return "; ".join(_one_why(piece) for piece in pieces)


def _one_why(piece: str) -> str:
    for theirs, ours in _WHY_NOT:
        if piece.startswith(theirs):
            return f"{ours}{piece.removeprefix(theirs)}"
    return piece


def _last_probe(health: Mapping[str, Any]) -> str:
    probes = health.get("Log") or [{}]
    output = str(probes[-1].get("Output", "")).strip()
    return f": {output[-300:]}" if output else ""
