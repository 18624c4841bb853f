# SPDX-License-Identifier: Apache-2.0
"""From a release's files, an operator's overlays and config to what a container finds in its file system.

Called where runs are made. Layers of a config: the application's < the environment's < the service's < the node's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from stackyard.drivers.files import ini, templates
from stackyard.model import errors
from stackyard.model.applications import AppSpec, Release, Service
from stackyard.model.files import MAX_FILE, File, FileMount, Overlay, RunFile, opened
from stackyard.model.ports import Secrets


def with_sealed(secrets: Secrets, spec: AppSpec) -> AppSpec:
    """Return a specification as it may be kept: the texts of its secrets are sealed."""
    files = tuple(_sealed(secrets, file) if file.secret and not file.sealed else file for file in spec.files)
    return dataclasses.replace(spec, files=files)


def _sealed(secrets: Secrets, file: File) -> File:
    return dataclasses.replace(file, text=secrets.seal(file.text), sealed=True)


class Rendering:
    """A release's config, overlays and files in clear: opened once, whatever number of services they are for."""

    def __init__(self, secrets: Secrets, release: Release) -> None:
        self.config: dict[str, str] = json.loads(secrets.open(release.config)) if release.config else {}
        self._overlays = opened(secrets, release.overlays)
        self._files = {(file.name, file.secret): in_clear(secrets, file) for file in release.spec.files}

    def files(self, service: Service) -> tuple[RunFile, ...]:
        """Return the files of a service's containers; raises GiveUp when one can't be made."""
        try:
            return tuple(self._file(mount, service.origin) for mount in service.files)
        except errors.BadInput as error:
            raise errors.GiveUp(f"service {service.name}: {error}") from error

    def _file(self, mount: FileMount, service: str) -> RunFile:
        file = self._files[mount.file, mount.secret]
        named = [] if file.secret else [each for each in self._overlays if each.file == file.name]
        applying = [each for each in named if _here(each, service)]
        everywhere = layered(file, applying, service)
        per_node = {each.node: layered(file, applying, service, each.node) for each in applying}
        per_node.pop("", None)
        made = [everywhere, *per_node.values()]
        return RunFile(
            mount.target,
            rendered(file, everywhere, self.config),
            # What an operator sets is sealed in the database; it is no less a secret where it runs.
            secret=file.secret or bool(applying) or any(templates.keys(each, file.name) for each in made),
            uid=mount.uid,
            gid=mount.gid,
            mode=mount.mode,
            nodes={node: rendered(file, each, self.config) for node, each in per_node.items()},
        )


def in_clear(secrets: Secrets, file: File) -> File:
    """Return a file with its text in clear."""
    return dataclasses.replace(file, text=secrets.open(file.text), sealed=False) if file.sealed else file


def layered(file: File, overlays: Sequence[Overlay], service: str = "", node: str = "") -> str:
    """Return the template of a config with what applies to a service (and node) laid over it."""
    over = [each for each in overlays if each.file == file.name and _here(each, service) and each.node in ("", node)]
    over.sort(key=lambda each: (bool(each.node), bool(each.service)))
    texts = [file.text, *(templates.braced(each.text) for each in over)]
    return ini.overlaid(texts, file.name) if file.ini else texts[-1]


def _here(overlay: Overlay, service: str) -> bool:
    return overlay.service in ("", service)


def rendered(file: File, text: str, config: Mapping[str, str]) -> str:
    """Return a template with the values of config in it; raises BadInput for a result that no engine takes."""
    kind = "secret" if file.secret else "config"
    where = f"{kind} {file.name}"
    if file.ini:
        _check_lines(text, config, where)
    done = templates.filled(text, config, where)
    if not done or len(done.encode()) > MAX_FILE:
        raise errors.BadInput(f"{where} is {'empty' if not done else f'larger than {MAX_FILE} bytes'}")
    return done


def _check_lines(text: str, config: Mapping[str, str], where: str) -> None:
    """Raise for a value that would be more than a value in an INI file."""
    for key in sorted(templates.keys(text, where)):
        if "\n" in config.get(key, "") or "\r" in config.get(key, ""):
            raise errors.BadInput(f"{where}: the value of {key} has several lines; an INI file takes one")
