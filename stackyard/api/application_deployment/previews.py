# SPDX-License-Identifier: Apache-2.0
"""Requests that ask what a push would change of what serves; nothing is changed, built or run.

Called through the table of routes. Texts are shown as elsewhere: secret values stay `${KEY}`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackyard.api.application_deployment import environments
from stackyard.api.application_deployment.sources import unpacked
from stackyard.api.call import Call, Reply
from stackyard.drivers.files import ini, rendering, templates
from stackyard.model.applications import AppSpec, Deployment, Release
from stackyard.model.files import File, Overlay
from stackyard.model.plan import previews

NOT_KEPT = {"Cache-Control": "no-store"}

View = dict[str, Any]
Name = tuple[str, bool]
"""A file's name, and whether it is a secret."""


def show(call: Call) -> Reply:
    """Tell what a push of a stored archive, with config and scale as in the body, would change of an environment."""
    of = environments.deployment(call)
    with unpacked(call, call.body["digest"]) as folder:
        spec = call.services.detect(folder)
    release, overlays = call.services.intents.files.of(of)
    texts = _Texts(call, of, overlays, call.body.get("config") or {})
    files = texts.changed(release, spec)
    images = {service.image: call.services.newest(service.image) for service in spec.services if service.image}
    old = release.spec if release else None
    changed = previews.changes(old, spec, files, images)
    stages = previews.stages(of, spec, {each.name for each in changed})
    return Reply(
        data={
            "environment": of.environment,
            "release": of.serving if of.serving > 0 else None,
            "config": texts.asked(),
            "services": [{"name": each.name, "change": each.change, "fields": each.fields} for each in changed],
            "files": list(texts.shown(release, spec, files)),
            "images": list(_images(old, images)),
            "stages": [{"service": each.service, "stage": each.stage.value} for each in stages],
            "scale": list(_scale(of, spec, call.body.get("scale") or {})),
        },
        headers=NOT_KEPT,
    )


class _Texts:
    """The texts of an environment's files: as they are, and with the config that is asked for (None: taken away)."""

    def __init__(self, call: Call, of: Deployment, overlays: Sequence[Overlay], asked: Mapping[str, Any]) -> None:
        self._overlays, self._secrets = overlays, call.services.secrets
        self._now: Mapping[str, str] = call.services.intents.releases.config(of.config)
        wanted = {key: _value(value, self._now) for key, value in asked.items()}
        self._then = {key: value for key, value in {**self._now, **wanted}.items() if value is not None}
        self._secret = {*of.secret_keys, *(key for key, value in asked.items() if isinstance(value, Mapping))}

    def asked(self) -> list[View]:
        """Return the keys of config that would be set, or set to something else, and those that go."""
        keys = sorted({*self._now, *self._then})
        return [
            {"key": key, "change": _word(self._now.get(key), self._then.get(key)), "secret": key in self._secret}
            for key in keys
            if self._now.get(key) != self._then.get(key)
        ]

    def changed(self, release: Release | None, spec: AppSpec) -> set[Name]:
        """Return the files whose text would be another one."""
        old = _files(release)
        return {name for name, file in _files(spec).items() if self._other(old.get(name), file)}

    def _other(self, old: File | None, new: File) -> bool:
        if old is None:
            return True
        now, then = self._layered(old), self._layered(new)
        keys = templates.keys(then, new.name)
        return now != then or any(self._now.get(key) != self._then.get(key) for key in keys)

    def _layered(self, file: File) -> str:
        clear = rendering.in_clear(self._secrets, file)
        return clear.text if file.secret else rendering.layered(clear, self._overlays)

    def shown(self, release: Release | None, spec: AppSpec, files: set[Name]) -> Iterator[View]:
        """Yield what changes in the text of each config that was there before."""
        old, new = _files(release), _files(spec)
        for name in sorted(files & old.keys()):
            file = new[name]
            if not file.secret:
                now = templates.shown(self._layered(old[name]), self._now, self._secret, file.name)
                then = templates.shown(self._layered(file), self._then, self._secret, file.name)
                yield _difference(file, now, then)


def _value(asked: Any, now: Mapping[str, str]) -> str | None:
    """Return what a key of config is to be: a text, a secret, or what another key is now."""
    if isinstance(asked, Mapping):
        return str(asked["secret"]) if "secret" in asked else now.get(asked["from"])
    return None if asked is None else str(asked)


def _word(now: str | None, then: str | None) -> str:
    return "set" if now is None else "unset" if then is None else "changed"


def _files(of: Release | AppSpec | None) -> dict[Name, File]:
    spec = of.spec if isinstance(of, Release) else of
    return {(file.name, file.secret): file for file in spec.files} if spec else {}


def _difference(file: File, now: str, then: str) -> View:
    lines = difflib.unified_diff(
        now.splitlines(), then.splitlines(), f"{file.name} (now)", f"{file.name} (then)", lineterm=""
    )
    changes = ini.changed(now, then, file.name) if file.ini else []
    return {"name": file.name, "diff": "\n".join(lines), "changes": changes}


def _images(old: AppSpec | None, newest: Mapping[str, str | None]) -> Iterator[View]:
    """Yield the images that are asked for, with their digests: in the release, and the newest that there is."""
    for image, digest in newest.items():
        name = image.partition("@")[0].rpartition(":")[0] or image
        serving = {
            (service.image or "").rpartition("@")[2]
            for service in (old.services if old else ())
            if f"/{name}@" in (service.image or "")
        }
        yield {"image": image, "now": min(serving, default=None), "newest": digest}


def _scale(of: Deployment, spec: AppSpec, asked: Mapping[str, int]) -> Iterator[View]:
    for service in spec.services:
        now = of.scale.get(service.name, service.replicas)
        if asked.get(service.name, now) != now:
            yield {"service": service.name, "now": now, "then": asked[service.name]}
