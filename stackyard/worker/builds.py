# SPDX-License-Identifier: Apache-2.0
"""Builds: fetch, detect, build on the tenant's own node, release; the log grows while it happens."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence

from stackyard.drivers.files.overlays import check_overlays
from stackyard.drivers.files.rendering import with_sealed
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import secret_values
from stackyard.model import errors
from stackyard.model.applications import Deployment, Service
from stackyard.model.builds import Build, Source, Step
from stackyard.model.clusters import Cluster
from stackyard.model.files import opened
from stackyard.model.masking import mask
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan import Action
from stackyard.model.plan import builds as steps
from stackyard.model.ports import Builder, BuildRequest, Log, NodeAccess, Rebaser, Sources
from stackyard.store import Store, Transaction
from stackyard.store.builds import Builds as Rows
from stackyard.store.builds import unchanged
from stackyard.worker.applications import image_prefix
from stackyard.worker.logs import BuildLog
from stackyard.worker.reconciler import Change, Passive
from stackyard.worker.releasing import Releasing, advance
from stackyard.worker.timings import deployed, timed

STEPS: dict[type[Action], Step] = {
    steps.FetchSource: Step.FETCH,
    steps.DetectServices: Step.DETECT,
    steps.BuildImage: Step.BUILD,
    steps.RebaseImages: Step.BUILD,
    steps.MakeRelease: Step.RELEASE,
    steps.Abandon: Step.DEPLOY,
}
NEWEST_EVENTS = 50


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Where builds happen on this host (`folder`: trees while they are read) and how long a release may take.

    `rebaser` moves images to newer stacks.
    """

    folder: pathlib.Path
    ready_seconds: int
    domain: str = "localhost"
    rebaser: Rebaser | None = None


class Builds(Passive):
    """The noun build for the loop."""

    def __init__(
        self, store: Store, sources: Sources, builder: Builder, authorities: Authorities, workshop: Workshop
    ) -> None:
        self.store = store
        self.sources = sources
        self.builder = builder
        self.authorities = authorities
        self.workshop = workshop
        self.releasing = Releasing(store, workshop.domain, workshop.ready_seconds, workshop.rebaser)
        self.actions: dict[type[Action], Callable[..., Change[Build] | None]] = {
            steps.FetchSource: self._fetch,
            steps.DetectServices: self._detect,
            steps.BuildImage: self._build,
            steps.RebaseImages: self.releasing.rebase,
            steps.MakeRelease: self.releasing.release,
            steps.Abandon: self._abandon,
        }

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of builds."""
        return tx.builds

    def idle(self, record: Build) -> bool:
        """A build that ended, well or not, is history."""
        return record.phase is not Phase.CREATING and record.phase not in ENDING

    def observe(self, record: Build) -> steps.Seen:
        """Look for an earlier push, the cluster, and what became of the release."""
        with self.store.reading() as tx:
            earlier = tx.builds.unfinished_before(record)
            newest = tx.builds.newest_unfinished(record.app_id, record.environment) if earlier else 0
            siblings = tuple(tx.deployments.all_of(record.app_id))
            deployment = next((each for each in siblings if each.environment == record.environment), None)
            cluster = _cluster(tx, deployment)
        gone = _gone(deployment)
        return steps.Seen(earlier, newest, bool(cluster and cluster.observed.nodes), deployment, siblings, gone)

    def plan(self, record: Build, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_build(record, seen)

    def act(self, action: Action, record: Build, seen: steps.Seen) -> Change[Build] | None:
        """Perform one step; what is wrong with the source ends the build."""
        started = time.monotonic()
        hidden = self._hidden(seen.siblings)
        with BuildLog(self.store, record.id, hidden) as log:
            try:
                change = self.actions[type(action)](record, action, log)
            except (errors.BadInput, errors.GiveUp) as error:  # whose words may be the last of the output
                raise errors.GiveUp(mask(str(error), hidden)) from error
        return timed(change, STEPS[type(action)].value, time.monotonic() - started) if change else None

    def failed(self, record: Build, reason: str) -> Change[Build]:
        """Write the reason where people look for it: at the log's end."""
        with self.store.reading() as tx:
            siblings = tx.deployments.all_of(record.app_id)
        with BuildLog(self.store, record.id, self._hidden(siblings)) as log:
            log(f"error: {reason}\n")
        return Change(record, also=lambda tx: tx.builds.nudge_unfinished(record.app_id))

    def reached(self, record: Build, seen: steps.Seen) -> Change[Build]:
        """Note that all steps are done, and how long the deployment took."""
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.observed.release)
            deployment = tx.deployments.of(record.app_id, record.environment)
            events = tx.events.of([deployment.id], NEWEST_EVENTS) if deployment else []
        done = advance(record, Step.DONE)
        if release.build_id == record.id:
            for phase, seconds in deployed(release, events):
                done = timed(done, phase, seconds)
        return dataclasses.replace(done, also=lambda tx: tx.builds.nudge_unfinished(record.app_id))

    def removed(self, record: Build, tx: Transaction) -> None:
        """Let the application's own removal go on."""
        tx.applications.nudge(record.app_id)

    def _fetch(self, record: Build, _action: object, log: Log) -> Change[Build]:
        source = record.source
        if source.digest:
            return advance(record, Step.DETECT, digest=source.digest, revision=source.revision)
        url = self.authorities.secrets.open(source.sealed) if source.sealed else source.repository
        digest, commit = self.sources.fetch(url, source.revision, log)
        serving = 0 if source.force else self._serving(record, digest)
        if serving:
            log(f"nothing changed; release {serving} serves\n")
            return advance(record, Step.DEPLOY, digest=digest, revision=commit, release=serving)
        return advance(record, Step.DETECT, digest=digest, revision=commit)

    def _hidden(self, siblings: Sequence[Deployment]) -> list[str]:
        """Return the secrets of all environments of an application, which its build output must not tell."""
        secrets = self.authorities.secrets
        return [value for each in siblings for value in secret_values(secrets, each.config, each.secret_keys)]

    def _serving(self, record: Build, digest: str) -> int:
        """Return the number of the release that serves, if it was made of the same source and config; else 0."""
        with self.store.reading() as tx:
            fetched = dataclasses.replace(record.source, digest=digest)
            same = unchanged(tx, fetched, record.app_id, record.environment)
        return same.observed.release if same else 0

    def _detect(self, record: Build, _action: object, log: Log) -> Change[Build]:
        with self._tree(record) as folder:
            spec = self.builder.detect(str(folder), self._chosen(record.source))
        for note in spec.notes:
            log(f"note: {note}\n")
        for service in spec.services:
            log(f"service {service.name}: {_origin(service)}\n")
        with self.store.reading() as tx:
            deployment = tx.deployments.of(record.app_id, record.environment)
        if deployment is not None:  # what operators lay over the files before must fit these, too
            check_overlays(spec.files, opened(self.authorities.secrets, deployment.overlays))
        return advance(record, Step.BUILD, spec=with_sealed(self.authorities.secrets, spec))

    def _chosen(self, source: Source) -> tuple[str, ...]:
        """Return the buildpacks that the application had chosen, with the passwords in them."""
        sealed = source.sealed_buildpacks
        return tuple(json.loads(self.authorities.secrets.open(sealed))) if sealed else source.buildpacks

    def _build(self, record: Build, action: steps.BuildImage, log: Log) -> Change[Build]:
        service = action.service
        node = self._node(record)
        twin = self._twin(record, service)
        if twin:
            image = record.observed.images[twin]
        elif service.build is None:
            image = self.builder.resolve(node, service.image or "", record.project_id, log)
        else:
            image = self._make(record, service, node, log)
        return advance(record, Step.BUILD, images={**record.observed.images, service.name: image})

    def _make(self, record: Build, service: Service, node: NodeAccess, log: Log) -> str:
        with self.store.reading() as tx:
            app = tx.applications.get(record.app_id)
        context = service.build.context if service.build else "."
        with self._tree(record) as folder:
            request = BuildRequest(
                node=node,
                folder=str(folder / context),
                service=service,
                repository=f"{image_prefix(app)}{service.name}",
                tag=f"build-{record.number}",
                project_id=record.project_id,
                app_id=record.app_id,
                revision=record.observed.revision,
                unwanted=functools.partial(self._unwanted, record),
            )
            return self.builder.build(request, log)

    def _unwanted(self, record: Build) -> bool:
        """Tell whether the environment that a build is for is going, or gone."""
        with self.store.reading() as tx:
            deployment = tx.deployments.of(record.app_id, record.environment)
        return _gone(deployment)

    def _twin(self, record: Build, service: Service) -> str | None:
        """Return a service made from the same build that has its image already (processes of one Procfile)."""
        spec = record.observed.spec
        if service.build is None or spec is None:
            return None
        return next((other.name for other in spec.services if _same_image(other, service, record)), None)

    def _abandon(self, record: Build, action: steps.Abandon, log: Log) -> None:
        raise errors.GiveUp(action.reason)

    def _node(self, record: Build) -> NodeAccess:
        """Return the node that builds: always the same one for an application, for the sake of its layers."""
        with self.store.reading() as tx:
            cluster = _cluster(tx, tx.deployments.of(record.app_id, record.environment))
        if cluster is None or not cluster.observed.nodes:
            raise errors.Retry("waiting for the cluster")
        ready = {node.name for node in cluster.observed.nodes if node.state == "ready"}
        nodes = [node for node in self.authorities.access(cluster).nodes if node.name in ready]
        if not nodes:
            raise errors.Retry("waiting for a node of the cluster to be ready")
        return nodes[-1]

    @contextlib.contextmanager
    def _tree(self, record: Build) -> Iterator[pathlib.Path]:
        """Give the source tree in a folder of its own; what a killed worker left there goes first."""
        folder = self.workshop.folder / record.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        try:
            self.sources.unpack(record.observed.digest, str(folder))
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _cluster(tx: Transaction, deployment: Deployment | None) -> Cluster | None:
    return tx.clusters.known(deployment.cluster_id) if deployment else None


def _origin(service: Service) -> str:
    if service.build is None:
        return f"image {service.image}"
    if service.build.dockerfile:
        return f"built by {service.build.dockerfile} in {service.build.context}"
    if service.build.buildpacks:
        return f"built by buildpacks from {service.build.context}"
    return f"built by a language pack from {service.build.context}"


def _same_image(other: Service, service: Service, record: Build) -> bool:
    return other.name in record.observed.images and other.build == service.build


def _gone(deployment: Deployment | None) -> bool:
    return deployment is None or deployment.phase in ENDING
