# SPDX-License-Identifier: Apache-2.0
"""Files that operators lay over an application's configs. Called by the application-deployment API.

A change is a new release, as one of config is, so that a rollback brings the files back. That a text makes sense for
its file is the caller's to check; what it lies over is known once something has been released.
"""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.intents.deployments import current, environment_of
from stackyard.intents.releases import Releases
from stackyard.intents.rules import Rules, living, who
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release
from stackyard.model.files import MAX_FILES, File, Overlay, opened, sealed
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller
from stackyard.store import Store

MAX_OVERLAYS = 200

Place = tuple[str, str, str]
"""What there is one overlay of at most: file, service ("": all), node ("": all)."""


class Files:
    """Intents on the overlays of an environment."""

    def __init__(self, store: Store, secrets: Secrets, rules: Rules) -> None:
        self.store = store
        self.secrets = secrets
        self.releases = Releases(store, secrets, rules)

    def of(self, of: Deployment) -> tuple[Release | None, Sequence[Overlay]]:
        """Return the release asked for in an environment, and what is laid over its files."""
        with self.store.reading() as tx:
            return current(tx, of), opened(self.secrets, of.overlays)

    def put(self, caller: Caller, ident: str, overlay: Overlay, environment: str = PRODUCTION) -> Release | None:
        """Lay a file over a config, or another one in its place; return the release of it.

        Raises NotFound for a config or service that the release asked for does not have, BadInput for too much.
        """
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            of = environment_of(tx, app, environment)
            check_place(app, current(tx, of), overlay.place)
            kept = {each.place: each for each in opened(self.secrets, of.overlays)} | {overlay.place: overlay}
            if len(kept) > MAX_OVERLAYS or sum(len(each.text.encode()) for each in kept.values()) > MAX_FILES:
                raise errors.BadInput(f"an environment can have {MAX_OVERLAYS} files with {MAX_FILES} bytes in all")
            summary = f"files: set {words(overlay.place)}"
            tx.deployments.note(of, "asked", f"{who(caller)} changed {summary}")
            return self.releases.lay(tx, of, sealed(self.secrets, list(kept.values())), summary)

    def remove(self, caller: Caller, ident: str, place: Place, environment: str = PRODUCTION) -> Release | None:
        """Take away what was laid over a config at this place; raises NotFound when there is nothing."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            of = environment_of(tx, app, environment)
            kept = {each.place: each for each in opened(self.secrets, of.overlays)}
            if kept.pop(place, None) is None:
                raise errors.NotFound(f"nothing is set for {words(place)} in {environment}")
            summary = f"files: unset {words(place)}"
            tx.deployments.note(of, "asked", f"{who(caller)} changed {summary}")
            return self.releases.lay(tx, of, sealed(self.secrets, list(kept.values())), summary)


def words(place: Place) -> str:
    """Return a place as people write it."""
    name, service, node = place
    return f"{name}{f' of {service}' if service else ''}{f' on {node}' if node else ''}"


def check_place(app: Application, release: Release | None, place: Place) -> File | None:
    """Return the config that a place is of, None before the first release; raises NotFound naming what there is."""
    if release is None:
        return None
    name, service, _ = place
    configs = {file.name: file for file in release.spec.files if not file.secret}
    if name not in configs:
        known = ", ".join(sorted(configs)) or "none"
        raise errors.NotFound(f"release {release.number} of {app.name} has no config '{name[:63]}'; it has: {known}")
    users = users_of(release, name)
    if service and service not in users:
        raise errors.NotFound(
            f"service '{service[:63]}' does not use config {name}; these do: {', '.join(users) or 'none'}"
        )
    return configs[name]


def users_of(release: Release, name: str) -> list[str]:
    """Return the names of the services that have a config."""
    wanted = (name, False)
    return [
        service.name
        for service in release.spec.services
        if any((mount.file, mount.secret) == wanted for mount in service.files)
    ]
