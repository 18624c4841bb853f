# SPDX-License-Identifier: Apache-2.0
"""Work on backups in containers beside the service: archives in and out of volumes, throw-away restores, copies.

Used by the noun backup. All containers and volumes are named after the backup, so that whoever comes next finds them;
none is part of what serves.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

from stackyard.model import errors
from stackyard.model.applications import Mount, Service, check_command
from stackyard.model.backups import Backup, BackupRule, before_restore, beside, ending, job_id
from stackyard.model.ports import ClusterAccess, Contents, Jobs, JobSpec, Run
from stackyard.worker.transfers import Transfer, feed

PARTS = ("holder", "trial", "check", "save", "replace", "back")
FOLDER = "/.stackyard-backup"
COPY = (
    'set -e; for each in /from/*; do to="/to/${each##*/}"; find "$to" -mindepth 1 -delete;'
    ' cp -a "$each/." "$to/"; done; sync'
)
READY_SECONDS = 180.0
LOOK_SECONDS = 0.3
HOLD_SECONDS = 5.0
TAIL_LINES = 10
GRACE = 5.0


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a backup's work is done: a node of the cluster, and the service as it runs there."""

    access: ClusterAccess
    node: str
    run: Run


class Trials:
    """Containers and volumes for the work on backups."""

    def __init__(self, jobs: Jobs, contents: Contents) -> None:
        self.jobs = jobs
        self.contents = contents

    def archive(self, record: Backup, place: Place) -> Iterator[bytes]:
        """Yield a tar archive of the service's volumes."""
        job = self._holder(record, place, [each.volume for each in place.run.service.mounts])
        yield from self.contents.unload(place.access, place.node, job, FOLDER)

    def unpack(self, record: Backup, place: Place, content: Iterator[bytes]) -> None:
        """Unpack such an archive into new volumes beside those in use."""
        self.tidy(record, place.access, place.run.app_id)
        job = self._holder(record, place, [each.volume for each in place.run.service.mounts], record.number)
        self.contents.load(place.access, place.node, job, content)

    def restore(
        self, record: Backup, place: Place, rule: BackupRule, content: Iterator[bytes], transfer: Transfer
    ) -> None:
        """Restore a dump into a throw-away container, and check it there; raises GiveUp where that does not work."""
        self.tidy(record, place.access, place.run.app_id)
        job = job_id(record.id, "trial")
        service = dataclasses.replace(_aside(record, place.run.service), stop_grace=GRACE)
        self.jobs.create(place.access, place.node, JobSpec(job, dataclasses.replace(place.run, service=service)))
        self.jobs.start(place.access, place.node, job)
        self._until_ready(place, job, rule.ready or _own_check(place.run.service), transfer)
        with transfer.watching(self.contents.enter(place.access, place.node, job, rule.restore)) as stream:
            feed(stream, rule.restore, content)
        if rule.check:
            with transfer.watching(self.contents.enter(place.access, place.node, job, rule.check)) as stream:
                feed(stream, rule.check, ())
        transfer.check()

    def check(self, record: Backup, place: Place, rule: BackupRule, transfer: Transfer) -> None:
        """Run the check on volumes that were unpacked; raises GiveUp where it fails."""
        service = dataclasses.replace(_aside(record, place.run.service), entrypoint=rule.check, command=None)
        spec = JobSpec(job_id(record.id, "check"), dataclasses.replace(place.run, service=service))
        while not self._ran(place, spec):
            transfer.check()

    def save(self, record: Backup, place: Place) -> None:
        """Copy what the volumes hold beside them; raises Retry while that goes on."""
        pairs = [(each.volume, before_restore(each.volume)) for each in place.run.service.mounts]
        self._copy(place, job_id(record.id, "save"), pairs)

    def replace(self, record: Backup, place: Place) -> None:
        """Put what was unpacked in the volumes' place; raises Retry while that goes on."""
        pairs = [(beside(each.volume, record.number), each.volume) for each in place.run.service.mounts]
        self._copy(place, job_id(record.id, "replace"), pairs)

    def put_back(self, record: Backup, place: Place) -> None:
        """Put back what was saved; raises Retry while that goes on."""
        pairs = [(before_restore(each.volume), each.volume) for each in place.run.service.mounts]
        self._copy(place, job_id(record.id, "back"), pairs)

    def tidy(self, record: Backup, access: ClusterAccess, app_id: str) -> None:
        """Remove what was made at the record's node, whatever it is; `app_id` is the workload's."""
        for part in PARTS:
            self.jobs.remove(access, record.observed.node, job_id(record.id, part))
        self.contents.forget(access, record.observed.node, app_id, ending(record.number))

    def _holder(self, record: Backup, place: Place, volumes: Sequence[str], number: int = 0) -> str:
        """Make a container that never starts and has the volumes (or those beside them) in one folder."""
        mounts = tuple(Mount(beside(name, number) if number else name, f"{FOLDER}/{name}") for name in volumes)
        job = job_id(record.id, "holder")
        self.jobs.remove(place.access, place.node, job)
        self.jobs.create(place.access, place.node, JobSpec(job, _bare(place.run, mounts)))
        return job

    def _until_ready(self, place: Place, job: str, command: Sequence[str], transfer: Transfer) -> None:
        """Wait until the command ends well in the container."""
        deadline, why = time.monotonic() + READY_SECONDS, ""
        while time.monotonic() < deadline:
            transfer.check()
            seen = self.jobs.look(place.access, place.node, job)
            if seen is None or seen.state == "exited":
                tail = self.jobs.tail(place.access, place.node, job, TAIL_LINES)
                raise errors.GiveUp(f"the throw-away container stopped: {seen.reason if seen else 'gone'}\n{tail}")
            why = self._lack(place, job, command, transfer)
            if not why:
                return
            time.sleep(LOOK_SECONDS)
        raise errors.GiveUp(f"the throw-away container was not ready within {READY_SECONDS:.0f} s: {why}")

    def _lack(self, place: Place, job: str, command: Sequence[str], transfer: Transfer) -> str:
        if not command:
            return ""
        try:
            with transfer.watching(self.contents.enter(place.access, place.node, job, command)) as stream:
                feed(stream, command, ())
        except errors.GiveUp as reason:
            return str(reason)
        return ""

    def _copy(self, place: Place, job: str, pairs: Sequence[tuple[str, str]]) -> None:
        mounts = tuple(
            Mount(volume, f"/{word}/{at}", read_only=word == "from")
            for at, pair in enumerate(pairs)
            for word, volume in zip(("from", "to"), pair, strict=True)
        )
        spec = JobSpec(job, _bare(place.run, mounts))
        deadline = time.monotonic() + HOLD_SECONDS
        while not self._ran(place, spec):
            if time.monotonic() > deadline:
                raise errors.Retry(f"copying the volumes of {place.run.service.name}", after=1.0)

    def _ran(self, place: Place, job: JobSpec) -> bool:
        """Have a job run; return whether it has ended, after a moment; raises GiveUp when it ended badly."""
        access, node = place.access, place.node
        seen = self.jobs.look(access, node, job.id)
        if seen is None:
            self.jobs.create(access, node, job)
        if seen is None or seen.state == "created":
            self.jobs.start(access, node, job.id)
        if seen is None or seen.state != "exited":
            time.sleep(LOOK_SECONDS)
            return False
        if seen.exit_code:
            tail = self.jobs.tail(access, node, job.id, TAIL_LINES)
            self.jobs.remove(access, node, job.id)
            raise errors.GiveUp(f"{seen.reason}\n{tail}".rstrip())
        return True


def _aside(record: Backup, service: Service) -> Service:
    """Return the service with volumes of its own, for nobody to reach."""
    mounts = tuple(dataclasses.replace(each, volume=beside(each.volume, record.number)) for each in service.mounts)
    return dataclasses.replace(
        service, name=f"backup.{record.number}", mounts=mounts, port=None, group=None, healthcheck=None
    )


def _bare(run: Run, mounts: tuple[Mount, ...]) -> Run:
    """Return a run of the image that copies between volumes as root, and knows nothing of the service's secrets."""
    service = dataclasses.replace(
        run.service, command=(COPY,), entrypoint=("sh", "-c"), mounts=mounts, user="0", healthcheck=None, files=()
    )
    return dataclasses.replace(run, service=service, environment={}, files=())


def _own_check(service: Service) -> tuple[str, ...]:
    """Return the service's own check as a command; nothing where it is none."""
    return check_command(service.healthcheck.test) if service.healthcheck else ()
