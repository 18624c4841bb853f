# SPDX-License-Identifier: Apache-2.0
"""Deployments: what a release wants to run, what runs, and the steps between, by way of ports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

from stackyard.drivers.certificates.hosts import HostCertificates
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import secret_values
from stackyard.intents.rules import within
from stackyard.model import errors
from stackyard.model.applications import Application, Deployment, Release, Stage
from stackyard.model.clusters import MASTER, Cluster
from stackyard.model.masking import mask
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import deployments as steps
from stackyard.model.plan.discovery import Announce
from stackyard.model.plan.members import expanded
from stackyard.model.plan.stages import FailStage, Initialised, StartStage, Upgraded
from stackyard.model.ports import ClusterAccess, Discovery, Jobs, Members, Router, Run, RunSeen, Secrets, Workloads
from stackyard.store import Store, Transaction
from stackyard.store.applications import Deployments as Rows
from stackyard.worker import aftercare
from stackyard.worker.discovery import Registries
from stackyard.worker.groups import Groups
from stackyard.worker.reconciler import Change, Passive
from stackyard.worker.routing import Routing
from stackyard.worker.runs import runs_of, service_of
from stackyard.worker.stages import Patience, Stages

TAIL_LINES = 15


@dataclasses.dataclass(frozen=True)
class Places:
    """Where applications are found: `domain` of their hosts, how long old replicas may take to finish.

    A release that fails within `proving_seconds` of its beginning is taken back. `members` speaks with members of
    clustered groups, `jobs` copies the volumes of those that were lost, `discovery` with an application's registry.
    """

    domain: str
    drain_seconds: float
    patience: Patience = dataclasses.field(default_factory=Patience)
    proving_seconds: float = 30.0
    certificates: HostCertificates | None = None
    members: Members | None = None
    jobs: Jobs | None = None
    discovery: Discovery | None = None


class Deployments(Passive):
    """The noun deployment for the loop."""

    def __init__(
        self, store: Store, workloads: Workloads, router: Router, authorities: Authorities, places: Places
    ) -> None:
        self.store = store
        self.workloads = workloads
        self.router = router
        self.authorities = authorities
        self.places = places
        self.routing = Routing(store, router, authorities.secrets, places.domain, places.certificates)
        self.stages = Stages(store, places.patience, self._digest)
        self.registries = Registries(store, places.discovery)
        self.groups = Groups(places.members, places.jobs, self._must_access, self._member_run)
        self.actions: dict[type[Action], Callable[..., Change[Deployment] | None]] = {
            steps.PinService: self._pin,
            steps.StartRun: self._start,
            steps.SwitchRoute: self._switch,
            steps.Serve: self._serve,
            steps.StopRun: self._stop,
            steps.RemoveRoute: self._remove_route,
            steps.RemoveRuns: self._remove_runs,
            steps.Fail: self._fail,
            **self.groups.actions,
            Announce: self.registries.announce,
            StartStage: self.stages.start,
            FailStage: self._fail_stage,
            Initialised: self.stages.initialised,
            Upgraded: self.stages.upgraded,
            steps.ReplaceReplica: self._replace,
            steps.TakeBack: self._take_back,
        }
        self.last_lines = aftercare.LastLines()

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of deployments."""
        return tx.deployments

    def idle(self, record: Deployment) -> bool:
        """Look after all: a failed release leaves another to be kept running, and names are to be answered for."""
        return False

    def observe(self, record: Deployment) -> steps.Seen:
        """Look at runs, routes and nodes."""
        app, cluster = self._app(record), self._cluster(record)
        looked = self.routing.look(app, record)
        routes, access = looked.routes, self.authorities.reach(cluster)
        untouched = record.release == 0 and record.phase is Phase.READY
        if cluster is None or access is None or untouched:
            return steps.Seen(routes=routes, told=looked.told, now=time.time())
        runs = tuple(self.workloads.runs(access, record.workload_id))
        kept = cluster.observed.nodes
        ready = [node for node in kept if node.state == "ready"]
        workers = [node for node in ready if node.role != MASTER]
        return steps.Seen(
            runs,
            routes,
            self._busy(routes, runs),
            nodes=tuple(node.name for node in workers or ready),
            kept=frozenset(node.name for node in kept),
            now=time.time(),
            stages=self.stages.jobs(record),
            told=looked.told,
            last_lines=self.last_lines.of(access, runs, time.time(), self._teller(record)),
            members=self.groups.look(access, record, runs),
            registry=self.registries.look(record, runs),
        )

    def plan(self, record: Deployment, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_deployment(record, self.wish(record), seen)

    def note(self, record: Deployment, seen: steps.Seen, _plan: Sequence[Action]) -> Change[Deployment]:
        """Note which services keep restarting."""
        return aftercare.noted(record, self.wish(record), seen) if record.looping or seen.last_lines else Change(record)

    def pause(self, record: Deployment, usual: float) -> float:
        """Look again soon while a release has still to prove itself, and as often as replicas are checked from here."""
        return min(usual, aftercare.pause(record, self.wish(record), time.time())) if record.serving > 0 else usual

    def act(self, action: Action, record: Deployment, seen: steps.Seen) -> Change[Deployment] | None:
        """Perform one action."""
        return self.actions[type(action)](record, action)

    def wait(self, record: Deployment, action: Wait) -> None:
        """Wait for an event of the cluster's engines."""
        access = self._access(record)
        if access is None:
            time.sleep(action.seconds)
        else:
            self.workloads.wait(access, record.workload_id, max(action.seconds, 0.15))

    def failed(self, record: Deployment, reason: str) -> Change[Deployment]:
        """Go back to the release that serves: the next look stops what was new."""

        def go_back(tx: Transaction) -> None:
            tx.deployments.go_back(record)
            tx.builds.nudge_unfinished(record.app_id)

        return Change(record, also=go_back)

    def removed(self, record: Deployment, tx: Transaction) -> None:
        """Let the application's own removal go on."""
        tx.applications.nudge(record.app_id)

    def wish(self, record: Deployment) -> steps.Wish:
        """Return what the release asked for wants to run."""
        if record.phase in ENDING:
            return steps.Wish(drain_seconds=self.places.drain_seconds)
        if record.release == 0:
            names = self.routing.names(self._app(record), record, (), ())
            return steps.Wish(drain_seconds=self.places.drain_seconds, rules=names.rules)
        with self.store.reading() as tx:
            app = tx.applications.get(record.app_id)
            release = tx.releases.number(record.app_id, record.release)
        services = [service for service in release.spec.services if service.stage is Stage.RUN]
        runs = runs_of(self.secrets, record, release, expanded(services, record.scale))
        names = self.routing.names(app, record, services, runs)
        return steps.Wish(
            runs,
            names.hosts,
            self.places.drain_seconds,
            self.stages.wanted(record),
            self.places.proving_seconds,
            names.rules,
            self.stages.after(record),
            {service.name: service.group for service in services if service.group},
        )

    @property
    def secrets(self) -> Secrets:
        """Return what opens an application's config."""
        return self.authorities.secrets

    def _member_run(self, record: Deployment, member: str) -> Run:
        """Return a member's run as it is asked for; raises NotFound where the release has no such member."""
        found = next((run for run in self.wish(record).runs if run.service.name == member), None)
        if found is None:
            raise errors.NotFound(f"the release has no member {member}")
        return found

    def _digest(self, record: Deployment, release: Release, name: str) -> str:
        return runs_of(self.secrets, record, release, [service_of(release, name)])[0].digest

    def _busy(self, routes: Mapping[str, Mapping[str, str]], runs: Sequence[RunSeen]) -> frozenset[str]:
        """Return replicas out of the route that still finish requests."""
        current = {server for servers in routes.values() for server in servers}
        old = {task.id for run in runs for task in run.tasks} - current
        return frozenset(task for task in old for host in routes if not self.router.idle(host, task))

    def _app(self, record: Deployment) -> Application:
        with self.store.reading() as tx:
            return tx.applications.get(record.app_id)

    def _cluster(self, record: Deployment) -> Cluster | None:
        with self.store.reading() as tx:
            return tx.clusters.known(record.cluster_id)

    def _access(self, record: Deployment) -> ClusterAccess | None:
        return self.authorities.reach(self._cluster(record))

    def _must_access(self, record: Deployment) -> ClusterAccess:
        return self.authorities.must_reach(self._cluster(record))

    def _pin(self, record: Deployment, action: steps.PinService) -> Change[Deployment]:
        pins = {**record.pins, action.service: action.node}
        return Change(dataclasses.replace(record, pins=pins), ("pinned", action.describe()))

    def _start(self, record: Deployment, action: steps.StartRun) -> Change[Deployment]:
        access = self._must_access(record)
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
        # What starts first waits for its own image only; those of all others come meanwhile.
        others = {service.image for service in release.spec.services if service.image} - {action.run.service.image}
        self.workloads.fetch(access, sorted(others))
        self.workloads.start(access, action.run)
        return Change(record, ("started", action.describe()))

    def _switch(self, record: Deployment, action: steps.SwitchRoute) -> Change[Deployment]:
        self.router.put(action.host, action.servers, action.route)
        switched = dataclasses.replace(record, switched_at=time.time()) if action.leaves_old else record
        return Change(switched, ("answered" if action.route else "routed", action.describe()))

    def _serve(self, record: Deployment, action: steps.Serve) -> Change[Deployment]:
        follows = self.stages.upgrades(record, action.release)

        def tell_builds(tx: Transaction) -> None:
            tx.builds.nudge_unfinished(record.app_id)
            if follows:
                limit = self.places.proving_seconds + self.places.patience.stage_seconds
                tx.deployments.postpone(record.id, within(limit))

        changed = aftercare.serve(record, action.release, time.time())
        changed = dataclasses.replace(changed, upgrading=action.release if follows else 0)
        return Change(changed, ("serving", f"release {action.release} serves"), tell_builds)

    def _replace(self, record: Deployment, action: steps.ReplaceReplica) -> Change[Deployment]:
        return aftercare.replace(self.workloads, self._must_access(record), record, action)

    def _take_back(self, record: Deployment, action: steps.TakeBack) -> Change[Deployment]:
        tail = self._teller(record)(self._must_access(record), action.run, TAIL_LINES)
        return aftercare.take_back(record, action, tail)

    def _teller(self, record: Deployment) -> aftercare.Tail:
        """Return what reads the last lines of a run without the secrets in them."""

        def tail(access: ClusterAccess, run: str, lines: int) -> str:
            return mask(self.workloads.tail(access, run, lines), self._secret_values(record))

        return tail

    def _stop(self, record: Deployment, action: steps.StopRun) -> Change[Deployment]:
        self.workloads.stop(self._must_access(record), action.run.name)
        return Change(record, ("stopped", action.describe()))

    def _remove_route(self, record: Deployment, action: steps.RemoveRoute) -> Change[Deployment]:
        self.routing.remove(record, action.host)
        return Change(record, ("unrouted", f"{action.host} is not routed any more"))

    def _remove_runs(self, record: Deployment, _action: object) -> Change[Deployment]:
        access = self._access(record)
        if access is not None:
            self.workloads.remove(access, record.workload_id)
        return Change(
            dataclasses.replace(record, serving=steps.CLEARED), ("removed", "removed what ran, with its data")
        )

    def _fail(self, record: Deployment, action: steps.Fail) -> None:
        tail = self.workloads.tail(self._must_access(record), action.run, TAIL_LINES)
        raise errors.GiveUp(mask(f"{action.reason}\n{tail}".rstrip(), self._secret_values(record)))

    def _fail_stage(self, record: Deployment, action: FailStage) -> None:
        raise errors.GiveUp(action.reason)

    def _secret_values(self, record: Deployment) -> list[str]:
        """Return what the containers of the release asked for must not tell."""
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
        return secret_values(self.secrets, release.config, release.secret_keys)
