# SPDX-License-Identifier: Apache-2.0
"""Applications, releases and deployments, in the words of the Compose Specification."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
import unicodedata
from collections.abc import Sequence

from stackyard.model.backups import BackupRule
from stackyard.model.files import File, FileMount
from stackyard.model.groups import Group, GroupState, Recovery
from stackyard.model.records import Record, new_id, utcnow

PRODUCTION = "production"
"""The environment that every application has."""
SEPARATOR = "--"
"""Between environment and application in a host name; names of neither may hold it."""


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """Compose `healthcheck`; durations in seconds. An empty `test` means the image's own check.

    `http` is a path asked of the service's port instead (`x-stackyard: {health: {http: /ready}}`), `tcp` asks only
    for a connection; both need no program in the image.
    """

    test: tuple[str, ...] = ()
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    disabled: bool = False
    http: str = ""
    tcp: bool = False


def check_command(test: Sequence[str]) -> tuple[str, ...]:
    """Return the argument vector of a health check's test (Compose, Engine API), empty where it runs no command."""
    kind, *words = test or ("NONE",)
    if kind == "CMD-SHELL":
        return ("/bin/sh", "-c", *words)
    return tuple(words) if kind == "CMD" else ()


@dataclasses.dataclass(frozen=True)
class Mount:
    """A named volume of the application mounted at `target`."""

    volume: str
    target: str
    read_only: bool = False


@dataclasses.dataclass(frozen=True)
class BuildSpec:
    """Where a service's image is made from; `dockerfile` None lets a language pack decide.

    `folders` are those that volumes are mounted on: a language pack makes them, owned by the application's user.
    `buildpacks` are git URLs (with #revision where wanted) of third-party buildpacks, in the order in which they build.
    """

    context: str = "."
    dockerfile: str | None = None
    args: dict[str, str] = dataclasses.field(default_factory=dict)
    target: str | None = None
    folders: tuple[str, ...] = ()
    buildpacks: tuple[str, ...] = ()


class Stage(enum.StrEnum):
    """When a service's command runs: all the time, at times of a schedule, or once at a point of a release's way.

    `init` before an environment's first release, `pre_upgrade` and `release` before one serves (the former only where
    it replaces another), `post_upgrade` once it has replaced the other; `check` when somebody asks.
    """

    RUN = "run"
    INIT = "init"
    PRE_UPGRADE = "pre_upgrade"
    RELEASE = "release"
    POST_UPGRADE = "post_upgrade"
    CHECK = "check"
    CRON = "cron"


@dataclasses.dataclass(frozen=True)
class Service:
    """One service of an application. Exactly one of `image` and `build` is asked for;

    in a release `image` is always set, by digest. `port` is the port that it listens on for HTTP
    (None: not routed). `command` and `entrypoint` are argument vectors (None: the image's own).
    Only services of stage `run` are kept running, scaled and routed; `schedule` is the five fields of cron, in UTC.
    `domains` are further host names that lead to it. One of stage `init` with `again` runs anew when it has changed.
    With `group` its replicas are members of a cluster of their own, each a service in its own right when it runs.
    `labels` are those that tell a registry of it (SERVICE_NAME and the like). `backup` says how it is backed up.
    """

    name: str
    image: str | None = None
    build: BuildSpec | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    port: int | None = None
    mounts: tuple[Mount, ...] = ()
    depends_on: tuple[str, ...] = ()
    healthcheck: HealthCheck | None = None
    replicas: int = 1
    working_dir: str | None = None
    user: str | None = None
    stop_grace: float = 10.0
    cpus: float | None = None
    memory_bytes: int | None = None
    stage: Stage = Stage.RUN
    schedule: str = ""
    domains: tuple[str, ...] = ()
    files: tuple[FileMount, ...] = ()
    again: bool = False
    group: Group | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    backup: BackupRule | None = None

    @property
    def group_name(self) -> str:
        """Return the group that it is a member of, or nothing."""
        return self.group.member_of if self.group else ""

    @property
    def origin(self) -> str:
        """Return the name of the service that the release has: a member's is its group's."""
        return self.group_name or self.name


@dataclasses.dataclass(frozen=True)
class AppSpec:
    """What a source tree asks for: its services in dependency order, its named volumes, its configs and secrets.

    `registry` is the service that is a Consul where all others are registered ("": none). `notes` tell a person what
    was found and what of it has no effect.
    """

    services: tuple[Service, ...]
    volumes: tuple[str, ...] = ()
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    files: tuple[File, ...] = ()
    registry: str = ""

    def named(self, name: str) -> Service | None:
        """Return the service of a name, None where there is none."""
        return next((service for service in self.services if service.name == name), None)

    @property
    def starts(self) -> int:
        """Return how many things are waited for when it starts: services, and each member of those that are groups."""
        return max(1, sum(service.replicas if service.group else 1 for service in self.services))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Application(Record):
    """A named set of services that can be pushed, released and scaled; its environments are `Deployment`s.

    `buildpacks` are the third-party buildpacks (git URLs without passwords) that it is built by, whatever its source
    says; where one of them has a password, `sealed_buildpacks` is the JSON list of all of them, sealed. `extra` is the
    worker's.
    """

    description: str = ""
    buildpacks: tuple[str, ...] = ()
    sealed_buildpacks: str = ""
    project_name: str = ""
    extra: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """Immutable: services by image digest plus config, numbered per application from 1, made for one environment.

    `secret_keys` are the keys of `config` whose values are never shown. `overlays` are what operators laid over its
    files, sealed. A rollback `skips_stage`: its stages have run when the release was new.
    """

    id: str = dataclasses.field(default_factory=new_id)
    project_id: str
    app_id: str
    number: int
    spec: AppSpec
    environment: str = PRODUCTION
    config: str | None = None
    secret_keys: tuple[str, ...] = ()
    build_id: str | None = None
    revision: str = ""
    summary: str = ""
    skips_stage: bool = False
    overlays: str | None = None
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)


@dataclasses.dataclass(frozen=True)
class Maintenance:
    """What is answered (503) instead of an application: `text` plainly, `page` (HTML) to browsers.

    An empty `page` is made of the text.
    """

    text: str = ""
    page: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment(Record):
    """An environment of an application, and the release that serves there.

    `release` is the number asked for (0: nothing yet), `serving` the one proved ready. `config` is the sealed
    environment that users set, of which the values of `secret_keys` are never shown; `scale` overrides replicas by
    service. `pins` says which node holds the volumes of a service; `switched_at` is when the router last left an old
    run. `former` is the release that served before (0: none to go back to), until `served_at`; `looping` names the
    services that keep restarting. In `maintenance` its hosts answer with that only. `overlays` are sealed, as in
    releases. `initialised` has the digests of the `init` stages that have run, by service; `upgrading` is the release
    that serves already but whose `post_upgrade` has not ended (0: none). `groups` has what is known of clustered
    groups, `recoveries` a person's word on which member begins one that was lost; both by service.
    """

    app_id: str
    cluster_id: str
    environment: str = PRODUCTION
    release: int = 0
    config: str | None = None
    secret_keys: tuple[str, ...] = ()
    scale: dict[str, int] = dataclasses.field(default_factory=dict)
    serving: int = 0
    pins: dict[str, str] = dataclasses.field(default_factory=dict)
    switched_at: float = 0
    former: int = 0
    served_at: float = 0
    looping: tuple[str, ...] = ()
    maintenance: Maintenance | None = None
    overlays: str | None = None
    initialised: dict[str, str] = dataclasses.field(default_factory=dict)
    upgrading: int = 0
    groups: dict[str, GroupState] = dataclasses.field(default_factory=dict)
    recoveries: dict[str, Recovery] = dataclasses.field(default_factory=dict)

    @property
    def workload_id(self) -> str:
        """Return the id under which the cluster keeps its runs, networks, volumes and logs.

        Production has the application's own, so that what ran before there were environments is found.
        """
        return self.app_id if self.environment == PRODUCTION else self.id


def project_label(name: str) -> str:
    """Return a project's name as a DNS label: small ASCII letters, digits and '-'; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:54].strip("-")


def host_label(app_name: str, environment: str) -> str:
    """Return the first label of an environment's host name: `shop`, or `staging--shop`."""
    return app_name if environment == PRODUCTION else f"{environment}{SEPARATOR}{app_name}"
