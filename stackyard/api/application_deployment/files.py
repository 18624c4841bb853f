# SPDX-License-Identifier: Apache-2.0
"""Requests on the files of an environment's configs, and what operators lay over them. Called through the routes.

Texts go out with the values of config in them, but for secret ones, which stay `${KEY}`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.api.application_deployment import environments
from stackyard.api.call import Call, Reply
from stackyard.drivers.files import ini, rendering, templates
from stackyard.drivers.files.overlays import check_overlay
from stackyard.intents.files import check_place, users_of
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release
from stackyard.model.files import File, Overlay

QUERY = environments.QUERY | {"service", "node"}
NOT_KEPT = {"Cache-Control": "no-store"}

View = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Layers:
    """A config with all that can be laid over it, and what its texts are shown with."""

    file: File
    overlays: Sequence[Overlay]
    values: Mapping[str, str]
    secret: Sequence[str]

    def shown(self, service: str, node: str) -> str:
        """Return the text for people that a service has on a node."""
        text = rendering.layered(self.file, self.overlays, service, node)
        return templates.shown(text, self.values, self.secret, self.file.name)


def index(call: Call) -> Reply:
    """List the configs of an environment's release, with the services that have them and what is laid over them."""
    release, overlays = call.services.intents.files.of(environments.deployment(call))
    files = [file for file in (release.spec.files if release else ()) if not file.secret]
    rows = [_listed(release, file, overlays) for file in files if release]
    known = {file.name for file in files}
    rest = dict.fromkeys(each.file for each in overlays if each.file not in known)
    return Reply(data=[*rows, *(_unused(name, overlays) for name in rest)])


def show(call: Call) -> Reply:
    """Show a config as a service has it (on a node), and what was set at just that place."""
    of, place = environments.deployment(call), _place(call)
    release, overlays = call.services.intents.files.of(of)
    file = _known(call, release, place)
    own = next((each.text for each in overlays if each.place == place), None)
    text = _layers(call, of, file, overlays).shown(*place[1:])
    return Reply(data={"name": file.name, "ini": file.ini, "content": text, "own": own}, headers=NOT_KEPT)


def put(call: Call) -> Reply:
    """Lay a file over a config; tell the release that carries it, null before the first push."""
    of, overlay = environments.deployment(call), _overlay(call, call.body["content"])
    release, _ = call.services.intents.files.of(of)
    file = check_place(call.target, release, overlay.place)
    check_overlay(file, overlay)
    made = call.services.intents.files.put(call.caller, call.target.id, overlay, of.environment)
    return Reply(202, {"release": made.number if made else None, "environment": of.environment})


def delete(call: Call) -> Reply:
    """Take away what was laid over a config at this place."""
    environment = environments.chosen(call)
    made = call.services.intents.files.remove(call.caller, call.target.id, _place(call), environment)
    return Reply(202, {"release": made.number if made else None, "environment": environment})


def diff(call: Call) -> Reply:
    """Show what a file at this place would change (content null: what taking it away would), changing nothing."""
    of, place = environments.deployment(call), _place(call)
    release, overlays = call.services.intents.files.of(of)
    file = _known(call, release, place)
    rest = [each for each in overlays if each.place != place]
    content = call.body["content"]
    wanted = rest if content is None else [*rest, _overlay(call, content)]
    if content is not None:
        check_overlay(file, wanted[-1])
    before, after = _layers(call, of, file, overlays), _layers(call, of, file, wanted)
    nodes = sorted({"", *(each.node for each in [*overlays, *wanted] if each.file == file.name)})
    services = users_of(release, file.name) if release else []
    found = [_difference(before, after, service, node) for service in services for node in nodes]
    return Reply(data=[each for each in found if each["diff"]], headers=NOT_KEPT)


def _difference(before: _Layers, after: _Layers, service: str, node: str) -> View:
    old, new, name = before.shown(service, node), after.shown(service, node), before.file.name
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (now)", f"{name} (then)", lineterm="")
    changes = ini.changed(old, new, name) if before.file.ini else []
    return {"service": service, "node": node or None, "diff": "\n".join(lines), "changes": changes}


def _place(call: Call) -> tuple[str, str, str]:
    return (call.args["config"], call.query.get("service") or "", call.query.get("node") or "")


def _overlay(call: Call, text: str) -> Overlay:
    name, service, node = _place(call)
    if len(service) > 63 or len(node) > 255 or len(name) > 63:
        raise errors.BadInput("a name is too long")
    return Overlay(name, text, service, node)


def _known(call: Call, release: Release | None, place: tuple[str, str, str]) -> File:
    file = check_place(call.target, release, place)
    if file is None:
        raise errors.Conflict(f"{call.target.name} has no release yet; its configs are known with the first one")
    return file


def _layers(call: Call, of: Deployment, file: File, overlays: Sequence[Overlay]) -> _Layers:
    values = call.services.intents.releases.config(of.config)
    return _Layers(file, overlays, values, of.secret_keys)


def _listed(release: Release, file: File, overlays: Sequence[Overlay]) -> View:
    users = users_of(release, file.name)
    targets = {
        service.name: [mount.target for mount in service.files if mount.file == file.name and not mount.secret]
        for service in release.spec.services
        if service.name in users
    }
    own = {"ini": file.ini, "checked": bool(file.options), "services": targets}
    return {"name": file.name, **own, "overlays": _overlays(file.name, overlays)}


def _unused(name: str, overlays: Sequence[Overlay]) -> View:
    """Return what is shown of overlays whose config the release does not have."""
    return {"name": name, "ini": None, "checked": False, "services": {}, "overlays": _overlays(name, overlays)}


def _overlays(name: str, overlays: Sequence[Overlay]) -> list[View]:
    return [
        {"service": each.service or None, "node": each.node or None, "bytes": len(each.text.encode())}
        for each in overlays
        if each.file == name
    ]
