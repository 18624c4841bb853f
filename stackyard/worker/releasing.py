# SPDX-License-Identifier: Apache-2.0
"""From images to a release: it is written with the wish for it in one transaction, or not at all.

Called by the noun build for its last step, and for moving an application to newer stacks, which is all in one.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

from stackyard.intents import domains, rules
from stackyard.model import errors
from stackyard.model.applications import AppSpec, Deployment, Release
from stackyard.model.builds import Build, Step
from stackyard.model.domains import Domain
from stackyard.model.phase import ENDING, Trigger
from stackyard.model.ports import Log, Rebaser
from stackyard.store import Store, Transaction
from stackyard.worker import rebasing
from stackyard.worker.reconciler import Change


class Releasing:
    """Makes releases under names of `domain`; each service may take `ready_seconds`. `rebaser` moves images."""

    def __init__(self, store: Store, domain: str, ready_seconds: int, rebaser: Rebaser | None) -> None:
        self.store = store
        self.domain = domain
        self.ready_seconds = ready_seconds
        self.rebaser = rebaser

    def rebase(self, record: Build, _action: object, log: Log) -> Change[Build]:
        """Rebase and release in one action: what it writes in the registry is the same when it is done twice."""
        with self.store.reading() as tx:
            deployment = environment_of(tx, record)
            old = rebasing.current(tx, deployment)
        if self.rebaser is None:
            raise errors.GiveUp("this platform's registry can't rebase images; push the application again instead")
        moved = rebasing.moved(self.rebaser, old.release.spec.services, log)
        if not moved.images:
            log(f"release {old.release.number} is on the newest of its stacks already\n")
            return advance(record, Step.DEPLOY, revision=old.release.revision, release=old.release.number)
        made = {
            service.name: moved.images.get(service.image or "", service.image or "")
            for service in old.release.spec.services
        }
        observed = dataclasses.replace(
            record.observed, digest=old.digest, revision=old.release.revision, spec=old.release.spec, images=made
        )
        return self._make(dataclasses.replace(record, observed=observed), log, moved.summary)

    def release(self, record: Build, _action: object, log: Log) -> Change[Build]:
        """Write the release of what was built."""
        return self._make(record, log, f"push {record.number}")

    def _make(self, record: Build, log: Log, summary: str) -> Change[Build]:
        with self.store.reading() as tx:
            deployment = environment_of(tx, record)
            number = tx.releases.next_number(record.app_id)
        release = Release(
            project_id=record.project_id,
            app_id=record.app_id,
            number=number,
            spec=_with_images(record),
            environment=record.environment,
            config=deployment.config,
            secret_keys=deployment.secret_keys,
            overlays=deployment.overlays,
            build_id=record.id,
            revision=record.observed.revision,
            summary=summary,
        )
        if any(service.domains for service in release.spec.services):
            with self.store.reading() as tx:
                _claimed(tx, release, self.domain)
        log(f"release {number}\n")
        deadline = rules.within(self.ready_seconds * release.spec.starts)
        change = advance(record, Step.DEPLOY, release=number)
        return dataclasses.replace(
            change,
            note=("released", f"release {number}"),
            also=lambda tx: self._write(tx, record, release, deadline),
        )

    def _write(self, tx: Transaction, record: Build, release: Release, deadline: datetime.datetime) -> None:
        for domain in _claimed(tx, release, self.domain):
            tx.domains.put(domain)
        domains.let_go(tx, release)
        _ask(tx, record, release, deadline)


def advance(record: Build, step: Step, **observed: object) -> Change[Build]:
    """Return the change that brings a build to its next step, with what was observed on the way."""
    return Change(dataclasses.replace(record, observed=dataclasses.replace(record.observed, step=step, **observed)))  # type: ignore[arg-type]


def _claimed(tx: Transaction, release: Release, domain: str) -> Sequence[Domain]:
    """Return the names that a release takes; raises GiveUp for one that it can't have."""
    try:
        return domains.claimed(tx, tx.applications.get(release.app_id), release, domain)
    except (errors.Conflict, errors.BadInput) as error:
        raise errors.GiveUp(f"the release can't have its domains: {error}") from None


def _ask(tx: Transaction, build: Build, release: Release, deadline: datetime.datetime) -> None:
    """Write a release and ask the build's environment for it; raises GiveUp when that is gone."""
    deployment = environment_of(tx, build)
    tx.releases.insert(release)
    message = f"release {release.number} asked for"
    tx.deployments.change(deployment, Trigger.CHANGE, message, deadline=deadline, release=release.number)


def environment_of(tx: Transaction, build: Build) -> Deployment:
    """Return the environment that a build is for; raises GiveUp when it is gone."""
    found = tx.deployments.of(build.app_id, build.environment)
    if found is None or found.phase in ENDING:
        raise errors.GiveUp(f"environment {build.environment} was removed while this push was under way")
    return found


def _with_images(record: Build) -> AppSpec:
    spec = record.observed.spec or AppSpec(())
    made = [dataclasses.replace(service, image=record.observed.images[service.name]) for service in spec.services]
    return dataclasses.replace(spec, services=tuple(made))
