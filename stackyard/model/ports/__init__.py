# SPDX-License-Identifier: Apache-2.0
"""The ports: what Stackyard needs of the world, as protocols of at most eight methods.

Implemented in `stackyard.drivers`, each with a fake of the same contract (`drivers.fake`). Every
method is idempotent: doing it twice finds the first, deleting what is absent succeeds. A part that
does not answer raises `errors.Unavailable`; one that refuses for good raises `errors.GiveUp`.
"""

from __future__ import annotations

from stackyard.model.ports.backups import Contents, Kept, Vault
from stackyard.model.ports.builders import Builder, BuildRequest
from stackyard.model.ports.certificates import Authority, Certificates, Secrets, TLSPair
from stackyard.model.ports.discovery import Discovery
from stackyard.model.ports.engines import ClusterAccess, Engine, Look, Member, NodeAccess
from stackyard.model.ports.groups import Members
from stackyard.model.ports.jobs import Jobs, JobSeen, JobSpec, Stream
from stackyard.model.ports.logs import LogKeeper, LogStore
from stackyard.model.ports.machines import Machine, Machines, MachineSpec
from stackyard.model.ports.registries import Rebased, Rebaser, Registry, Tar
from stackyard.model.ports.routers import Route, Router, Told, Traffic, digest
from stackyard.model.ports.sources import GitRepositories, Log, Pushed, RefUpdate, Sources
from stackyard.model.ports.workloads import FollowedLog, Replica, Run, RunSeen, Workloads

__all__ = [
    "Authority",
    "BuildRequest",
    "Builder",
    "Certificates",
    "ClusterAccess",
    "Contents",
    "Discovery",
    "Engine",
    "FollowedLog",
    "GitRepositories",
    "JobSeen",
    "JobSpec",
    "Jobs",
    "Kept",
    "Log",
    "LogKeeper",
    "LogStore",
    "Look",
    "Machine",
    "MachineSpec",
    "Machines",
    "Member",
    "Members",
    "NodeAccess",
    "Pushed",
    "Rebased",
    "Rebaser",
    "RefUpdate",
    "Registry",
    "Replica",
    "Route",
    "Router",
    "Run",
    "RunSeen",
    "Secrets",
    "Sources",
    "Stream",
    "TLSPair",
    "Tar",
    "Told",
    "Traffic",
    "Vault",
    "Workloads",
    "digest",
]
