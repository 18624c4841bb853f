# SPDX-License-Identifier: Apache-2.0
"""Clustered groups of a deployment: asks members what they are, notes what is decided, grants, copies volumes.

The deployments' own part of the loop, beside `deployments.py`. What is decided is saved with the deployment's row,
under its lease; members are asked only while a group is not formed or not all of it is ready.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from stackyard.model import errors
from stackyard.model.applications import Deployment, Mount
from stackyard.model.groups import MemberSeen, saved_volume
from stackyard.model.plan import Action, group_runs
from stackyard.model.plan import groups as steps
from stackyard.model.plan.members import state_of
from stackyard.model.ports import ClusterAccess, Jobs, JobSpec, Members, Replica, Run, RunSeen
from stackyard.worker.reconciler import Change

AT_ONCE = 8
COPY_LOOK_SECONDS = 0.3
COPY_HOLD_SECONDS = 5.0
COPY = "set -e; find /to -mindepth 1 -delete; cp -a --reflink=auto /from/. /to/; sync -f /to"
LIVING = ("starting", "running", "unhealthy")


class Groups:
    """Groups of one noun's records; `reach` opens a deployment's cluster, `run_of` returns a member's run."""

    def __init__(
        self,
        members: Members | None,
        jobs: Jobs | None,
        reach: Callable[[Deployment], ClusterAccess],
        run_of: Callable[[Deployment, str], Run],
    ) -> None:
        self.members = members
        self.jobs = jobs
        self.reach = reach
        self.run_of = run_of
        self._living: dict[tuple[str, str], Replica] = {}
        self.actions: dict[type[Action], Callable[..., Change[Deployment] | None]] = {
            steps.Hear: self._note,
            steps.Claim: self._note,
            steps.Form: self._note,
            steps.GrantBootstrap: self._grant,
            steps.SaveVolumes: self._save,
        }

    def look(
        self, access: ClusterAccess, record: Deployment, runs: Sequence[RunSeen]
    ) -> Mapping[str, Mapping[str, MemberSeen]]:
        """Return what members say, by group and member; only of groups that are not settled."""
        names = {run.group for run in runs if run.group}
        asked = {name for name in names if not group_runs.settled(name, record, runs)}
        living = [(run, task) for run in runs if run.group in asked for task in run.tasks if task.state in LIVING]
        if self.members is None or not living:
            return {}
        members = self.members
        with ThreadPoolExecutor(min(len(living), AT_ONCE), "members") as pool:
            said = list(pool.map(lambda each: members.look(access, each[1]), living))
        found: dict[str, dict[str, MemberSeen]] = {name: {} for name in asked}
        for (run, task), answer in zip(living, said, strict=True):
            if answer:
                found[run.group][run.service] = answer
                self._living[record.id, run.service] = task
        return found

    def _note(self, record: Deployment, action: steps.FormAction) -> Change[Deployment]:
        state = steps.applied(state_of(record.groups, action.group), action)
        changed = dataclasses.replace(record, groups={**record.groups, action.group: state})
        return Change(changed, ("group", action.describe()))

    def _grant(self, record: Deployment, action: steps.GrantBootstrap) -> Change[Deployment]:
        replica = self._living.get((record.id, action.member))
        if self.members is None or replica is None:
            raise errors.Retry(f"{action.member} can't be reached", after=1.0)
        if not self.members.grant(self.reach(record), replica, action.grant):
            raise errors.Retry(f"{action.member} does not take the bootstrap right", after=1.0)
        return Change(record, ("group", action.describe()))

    def _save(self, record: Deployment, action: steps.SaveVolumes) -> Change[Deployment]:
        """Copy the member's volumes beside them on its node; a copy that was broken off is made anew."""
        run = self.run_of(record, action.member)
        for mount in run.service.mounts:
            self._copy(record, run, mount, action.epoch)
        return self._note(record, action)

    def _copy(self, record: Deployment, run: Run, mount: Mount, epoch: int) -> None:
        if self.jobs is None or run.pin is None:
            raise errors.Unavailable(f"the volumes of {run.service.name} can't be copied: its node is not known")
        access, job = self.reach(record), copying(record, run, mount, epoch)
        if self.jobs.look(access, run.pin, job.id) is None:
            self.jobs.create(access, run.pin, job)
            self.jobs.start(access, run.pin, job.id)
        deadline = time.monotonic() + COPY_HOLD_SECONDS
        while True:
            seen = self.jobs.look(access, run.pin, job.id)
            if seen is None or seen.state == "created":
                self.jobs.start(access, run.pin, job.id)
            elif seen.state == "exited":
                break
            if time.monotonic() > deadline:
                raise errors.Retry(f"copying the volumes of {run.service.name}", after=1.0)
            time.sleep(COPY_LOOK_SECONDS)
        said = "" if seen.exit_code == 0 else self.jobs.tail(access, run.pin, job.id, 3)
        self.jobs.remove(access, run.pin, job.id)
        if seen.exit_code:
            raise errors.Retry(f"the volumes of {run.service.name} were not copied: {said or seen.reason}", after=30.0)


def copying(record: Deployment, run: Run, mount: Mount, epoch: int) -> JobSpec:
    """Return the job that copies one volume of a member, the same whoever asks for it."""
    told = f"{record.id}/{mount.volume}/{epoch}"
    mounts = (
        Mount(mount.volume, "/from", read_only=True),
        Mount(saved_volume(mount.volume, epoch), "/to"),
    )
    service = dataclasses.replace(
        run.service, command=(COPY,), entrypoint=("sh", "-c"), mounts=mounts, user="0", healthcheck=None, files=()
    )
    return JobSpec(
        id=hashlib.sha256(told.encode()).hexdigest()[:32],
        run=dataclasses.replace(run, service=service, environment={}, files=()),
    )
