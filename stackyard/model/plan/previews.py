# SPDX-License-Identifier: Apache-2.0
"""What another specification would change of the one that was released, and the stages that would run on its way.

Called by the application-deployment API. The stages are those that the planner of deployments would ask for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping

from stackyard.model.applications import AppSpec, Deployment, Service, Stage
from stackyard.model.plan.stages import ReleaseStage, before, stages_of

_OTHERWISE = frozenset({"name", "image", "replicas", "files"})
"""Fields of a service that are told in another way, or that change nothing that runs."""
_CHANGED = "changed"


@dataclasses.dataclass(frozen=True)
class ServiceChange:
    """A service that is `added`, `removed` or `changed`, then with the names of what changes of it."""

    name: str
    change: str
    fields: tuple[str, ...] = ()


def changes(
    old: AppSpec | None, new: AppSpec, files: Collection[tuple[str, bool]], newest: Mapping[str, str | None]
) -> list[ServiceChange]:
    """Return the services that would not be as they are, in the new order, and then those that go.

    `files` are those (name, whether secret) whose text changes; `newest` the digests of images by name (None: unknown).
    """
    known = {service.name: service for service in old.services} if old else {}
    made = [_change(known.get(service.name), service, files, newest) for service in new.services]
    names = {service.name for service in new.services}
    return [*(each for each in made if each), *(ServiceChange(name, "removed") for name in known if name not in names)]


def _change(
    old: Service | None, new: Service, files: Collection[tuple[str, bool]], newest: Mapping[str, str | None]
) -> ServiceChange | None:
    if old is None:
        return ServiceChange(new.name, "added")
    fields = tuple(_fields(old, new, files, newest))
    return ServiceChange(new.name, _CHANGED, fields) if fields else None


def _fields(
    old: Service, new: Service, files: Collection[tuple[str, bool]], newest: Mapping[str, str | None]
) -> Iterator[str]:
    if new.build is not None or moves(old.image, newest.get(new.image or "")):
        yield "image"
    for field in dataclasses.fields(Service):
        if field.name not in _OTHERWISE and getattr(old, field.name) != getattr(new, field.name):
            yield field.name
    texts = any((mount.file, mount.secret) in files for mount in new.files)
    if old.files != new.files or texts:
        yield "files"


def moves(image: str | None, newest: str | None) -> bool:
    """Tell whether an image (by digest) is another one than the newest, as far as that is known."""
    return newest is not None and (image or "").rpartition("@")[2] != newest


def stages(of: Deployment, spec: AppSpec, changed: Collection[str]) -> list[ReleaseStage]:
    """Return the stages of a next release in their order; `changed` names services whose inputs are others."""
    then = dataclasses.replace(of, release=max(of.release, of.serving, 0) + 1)
    known = tuple(_with_digest(stage, of, changed) for stage in stages_of(spec))
    after = (stage for stage in known if stage.stage is Stage.POST_UPGRADE and of.serving > 0)
    return [*before(then, known), *after]


def _with_digest(stage: ReleaseStage, of: Deployment, changed: Collection[str]) -> ReleaseStage:
    same = of.initialised.get(stage.service, "")
    return dataclasses.replace(stage, digest=_CHANGED if stage.service in changed else same)
