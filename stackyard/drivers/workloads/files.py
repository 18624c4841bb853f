# SPDX-License-Identifier: Apache-2.0
"""Files of runs: as configs and secrets of the swarm, named by what they hold, and as an archive for jobs.

Used by `resources.py`, `swarm.py` and `jobs.py`. What holds values of config is a secret of the swarm, which no engine
shows; the rest are configs. A file that differs between nodes is one template, which the swarm evaluates on each.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.model import errors
from stackyard.model.files import RunFile
from stackyard.model.ports import Run

KINDS = {"configs": "Config", "secrets": "Secret"}


def kind(file: RunFile) -> str:
    """Return which of the two a file is kept as."""
    return "secrets" if file.secret else "configs"


def data(file: RunFile) -> str:
    """Return what the swarm keeps of a file."""
    return _by_node(file) if file.nodes else file.text


def name(run: Run, file: RunFile) -> str:
    """Return the name under which the swarm keeps a file: of an application, by content."""
    said = json.dumps([run.app_id, data(file), bool(file.nodes)])
    return f"{run.app_id[:8]}-{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def _by_node(file: RunFile) -> str:
    """Return a template of the swarm's that is another text on some nodes, here by their ids: it knows no names."""
    cases = [
        f"{{{{{'else ' if at else ''}if eq .Node.ID {json.dumps(node)}}}}}{spec.literal(text)}"
        for at, (node, text) in enumerate(sorted(file.nodes.items()))
    ]
    return f"{''.join(cases)}{{{{else}}}}{spec.literal(file.text)}{{{{end}}}}"


def ensure(engine: NodeEngine, run: Run) -> dict[str, list[dict[str, Any]]]:
    """Have the swarm keep the files of a run; return what its containers' specification says of them."""
    if any(file.nodes for file in run.files):
        run = dataclasses.replace(run, files=_by_ids(engine, run.files))
    found: dict[str, list[dict[str, Any]]] = {}
    for each in KINDS:
        wanted = [file for file in run.files if kind(file) == each]
        if wanted:
            found[each.title()] = _ensure(engine, run, each, wanted)
    return found


def _by_ids(engine: NodeEngine, files: Sequence[RunFile]) -> tuple[RunFile, ...]:
    """Return files with the swarm's ids of nodes in place of their names; nodes that it does not have are left out."""
    ids = {node["Description"]["Hostname"]: node["ID"] for node in engine.get("/nodes")}
    return tuple(
        dataclasses.replace(file, nodes={ids[name]: text for name, text in file.nodes.items() if name in ids})
        for file in files
    )


def _ensure(engine: NodeEngine, run: Run, of: str, wanted: Sequence[RunFile]) -> list[dict[str, Any]]:
    there = _listed(engine, of, run.app_id)
    for file in wanted:
        if name(run, file) not in there:
            there[name(run, file)] = _create(engine, of, run, file)
    if there.keys() - {name(run, file) for file in wanted}:
        _tidy(engine, of, run.app_id, but={name(run, file) for file in wanted})
    return [reference(KINDS[of], file, name(run, file), there[name(run, file)]) for file in wanted]


def _listed(engine: NodeEngine, of: str, app_id: str) -> dict[str, str]:
    rows = engine.get(f"/{of}", filters=labelled(f"{spec.APP}={app_id}")) or []
    return {row["Spec"]["Name"]: row["ID"] for row in rows}


def _create(engine: NodeEngine, of: str, run: Run, file: RunFile) -> str:
    asked: dict[str, Any] = {
        "Name": name(run, file),
        "Labels": {spec.APP: run.app_id},
        "Data": base64.b64encode(data(file).encode()).decode(),
    }
    if file.nodes:
        asked["Templating"] = {"Name": "golang"}
    try:
        return str(engine.post(f"/{of}/create", asked)["ID"])
    except errors.Conflict:  # another attempt made it at this moment
        return _listed(engine, of, run.app_id)[name(run, file)]


def reference(word: str, file: RunFile, kept_as: str, ident: str) -> dict[str, Any]:
    """Return the part of a container's specification that puts a kept file at its place."""
    place = {"Name": file.target, "UID": str(file.uid), "GID": str(file.gid), "Mode": file.mode}
    return {"File": place, f"{word}ID": ident, f"{word}Name": kept_as}


def tidy(engine: NodeEngine, app_id: str) -> None:
    """Have the swarm forget the files of an application that no service of its uses."""
    for each in KINDS:
        _tidy(engine, each, app_id)


def _tidy(engine: NodeEngine, of: str, app_id: str, but: set[str] | None = None) -> None:
    services = engine.get("/services", filters=labelled(f"{spec.APP}={app_id}"))
    used = {entry[f"{KINDS[of]}Name"] for service in services for entry in _references(service, of)}
    for known, ident in _listed(engine, of, app_id).items():
        if known not in used | (but or set()):
            with contextlib.suppress(errors.StackyardError):  # in use after all: it goes with the next that does
                engine.delete(f"/{of}/{ident}")


def _references(service: Mapping[str, Any], of: str) -> list[dict[str, Any]]:
    container = service["Spec"]["TaskTemplate"].get("ContainerSpec") or {}
    return container.get(of.title()) or []


def archive(files: Sequence[RunFile], node: str) -> bytes:
    """Return a tar archive of the files as a container on this node has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            text = file.on(node).encode()
            entry = tarfile.TarInfo(file.target.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(text), file.mode, file.uid, file.gid
            tar.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()
