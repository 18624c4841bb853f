# SPDX-License-Identifier: Apache-2.0
"""The ports: what Stackyard needs of the world, as protocols of at most eight methods.

Implemented in `stackyard.drivers`, each with a fake of the same contract (`drivers.fake`). Every
method is idempotent: doing it twice finds the first, deleting what is absent succeeds. A part that
does not answer raises `errors.Unavailable`; one that refuses for good raises `errors.GiveUp`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol, runtime_checkable

from stackyard.model.applications import AppSpec, Maintenance, Service
from stackyard.model.logs import Checkpoint, LogLine

Log = Callable[[str], None]
"""Takes pieces of a build's output as they appear; a piece may hold several lines."""


@dataclasses.dataclass(frozen=True)
class TLSPair:
    """A CA certificate with a certificate and key signed by it, all PEM text."""

    ca: str
    cert: str
    key: str = dataclasses.field(repr=False)

    @property
    def pem(self) -> str:
        """Return certificate (with its chain) and key as one file, as servers read it."""
        return "".join(f"{line}\n" for line in f"{self.cert}\n{self.key}".splitlines() if line.strip())


@dataclasses.dataclass(frozen=True)
class Authority:
    """A certificate authority: its own certificate and private key, PEM text."""

    cert: str
    key: str = dataclasses.field(repr=False)


# --- machines ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MachineSpec:
    """A machine to be made. `cpus`, `memory_mb` and `volume_gb` 0 mean unlimited; `trust` is `Cluster.trust`."""

    name: str
    cluster_id: str
    group_id: str
    role: str
    image: str
    cpus: float = 0
    memory_mb: int = 0
    volume_gb: int = 0
    trust: str = "1..1"


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine as seen: `state` is running, stopped, failed, or absent when only its data is left.

    `address` is its IP on the cluster's network; `image` and `trust` are those of the spec that it was made of;
    `limited` tells whether the asked size of its data volume is enforced.
    """

    name: str
    cluster_id: str
    group_id: str
    role: str
    address: str
    state: str
    image: str = ""
    trust: str = "1..1"
    limited: bool = True


class Machines(Protocol):
    """Makes the machines of clusters (local docker, Heat/Nova, existing hosts)."""

    def list(self, cluster_id: str) -> list[Machine]:
        """Return all machines of the cluster, by name."""

    def ensure_network(self, cluster_id: str) -> None:
        """Make the cluster's own network if it is not there."""

    def has_network(self, cluster_id: str) -> bool:
        """Tell whether the cluster's network is there."""

    def create(self, spec: MachineSpec, issue: Callable[[str], TLSPair]) -> Machine:
        """Make and start a machine; `issue(address)` gives the certificate that its engine serves with.

        Data that a machine of this name left is taken up again.
        """

    def delete(self, cluster_id: str, name: str, *, keep_data: bool = False) -> None:
        """Remove the machine with all that it stored, unless the next of its name is to take that up."""

    def delete_network(self, cluster_id: str) -> None:
        """Remove the cluster's network; raises Unavailable while machines are still on it."""

    def watch(self) -> Iterator[str]:
        """Yield the id of a cluster whenever one of its machines starts, ends or goes; ends when the look-out does."""


# --- engines -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class NodeAccess:
    """How to talk to one node's engine: `https://address:2376` with mutual TLS."""

    name: str
    address: str
    role: str
    tls: TLSPair


@dataclasses.dataclass(frozen=True)
class ClusterAccess:
    """How to talk to a cluster: its nodes, managers first."""

    cluster_id: str
    nodes: tuple[NodeAccess, ...]

    @property
    def managers(self) -> tuple[NodeAccess, ...]:
        """Return the nodes that may answer for the whole cluster."""
        return tuple(node for node in self.nodes if node.role == "master")


@dataclasses.dataclass(frozen=True)
class Member:
    """A node as the engine knows it. `state` is ready, down or unknown; `leader` among managers.

    `tasks` is how many containers of services run there; `settled_seconds` how long its own settings (draining,
    labels, role) have been as they are.
    """

    id: str
    name: str
    role: str
    state: str
    address: str
    draining: bool = False
    leader: bool = False
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tasks: int = 0
    settled_seconds: float = 0


@dataclasses.dataclass(frozen=True)
class Look:
    """What one node's engine says of itself. `member` tells whether it belongs to a cluster, healthy or not."""

    version: str
    member: bool = False
    manages: bool = False
    error: str = ""


class Engine(Protocol):
    """Forms a cluster out of machines (swarm, kubernetes, mesos)."""

    def look(self, node: NodeAccess) -> Look | None:
        """Return what the node's engine says of itself, or None while it does not answer."""

    def members(self, node: NodeAccess) -> list[Member]:
        """Return the members as this manager sees them; empty when it is in no cluster.

        Raises Unavailable while the managers have no quorum.
        """

    def init(self, node: NodeAccess) -> None:
        """Form a new cluster of this one node."""

    def join(self, node: NodeAccess, manager: NodeAccess) -> None:
        """Make `node` a member, in its role."""

    def update(self, manager: NodeAccess, member: Member) -> None:
        """Bring the member's own settings to `member.draining` and `member.labels`.

        Draining moves its tasks away and gives it no new ones.
        """

    def recover(self, node: NodeAccess) -> None:
        """Make this manager the only one of its cluster, with all that the cluster knew; for a quorum lost for good."""

    def forget(self, manager: NodeAccess, member: Member) -> None:
        """Take the member out of the cluster's list, demoting it first where needed."""


# --- workloads ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Run:
    """One service of one release as it shall run: `name` is unique in the cluster.

    `digest` identifies everything that makes two runs alike; `environment` holds clear values.
    `pin` is the node (name) that holds the volumes of this service.
    """

    name: str
    app_id: str
    release: int
    service: Service
    replicas: int
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    digest: str = ""
    pin: str | None = None


@dataclasses.dataclass(frozen=True)
class Replica:
    """One container of a run. `state`: pending, starting, running, unhealthy, exited, unknown (its node is silent).

    `endpoint` is `address:port` where the router reaches it (None: no port). `reason` says in words why it exited,
    or what a living one lacks; times are seconds of the epoch. `cpu` is a share of one core, `memory` and
    `memory_limit` are bytes (None where not asked for, not known, or without a limit).
    """

    id: str
    run: str
    service: str
    slot: int
    node: str
    state: str
    endpoint: str | None = None
    started_at: float | None = None
    reason: str = ""
    healthchecked: bool = False
    ended_at: float | None = None
    cpu: float | None = None
    memory: int | None = None
    memory_limit: int | None = None


@dataclasses.dataclass(frozen=True)
class RunSeen:
    """A run as the engine has it, with its living replicas and the newest failed ones."""

    name: str
    app_id: str
    service: str
    release: int
    digest: str
    replicas: int
    tasks: tuple[Replica, ...] = ()


@runtime_checkable
class FollowedLog(Protocol):
    """Followed lines, in the order of their times; endless until it is closed, from whichever thread."""

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are due, waiting up to `timeout` seconds for the first."""

    def add(self, lines: Sequence[LogLine]) -> None:
        """Put lines from elsewhere in order with the containers' own."""

    def close(self) -> None:
        """End the reading."""


class Workloads(Protocol):
    """Runs services on a formed cluster."""

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return what runs for the application, with its replicas."""

    def glance(self, access: ClusterAccess, app_id: str, *, usage: bool = False) -> list[RunSeen]:
        """Return what `runs` does, for people: nodes that do not answer soon make replicas unknown, not an error.

        With `usage`, also what each replica uses of CPU and memory.
        """

    def start(self, access: ClusterAccess, run: Run) -> None:
        """Start the run (network and volumes included) or bring it to `run.replicas`."""

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Stop and remove the run; volumes stay."""

    def replace(self, access: ClusterAccess, replica: Replica) -> None:
        """Stop a replica; its run starts another in its place."""

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove all runs, networks and volumes of the application."""

    def wait(self, access: ClusterAccess, app_id: str, timeout: float) -> None:
        """Return when something changed for the application, or after `timeout` seconds."""

    def logs(
        self,
        access: ClusterAccess,
        app_id: str,
        *,
        follow: bool,
        tail: int | None = None,
        service: str | None = None,
        after: Checkpoint | None = None,
    ) -> Iterator[LogLine]:
        """Yield lines of all replicas in the order of their times; with `follow`, a FollowedLog.

        With `after`, all lines that are not passed there. A line older than one before it is marked late.
        """

    def tail(self, access: ClusterAccess, run: str, lines: int) -> str:
        """Return the last lines of the run's newest failed (else any) container."""


# --- logs --------------------------------------------------------------------------------------


class LogKeeper(Protocol):
    """The one who keeps an application's lines now; `state` is how far they go."""

    @property
    def state(self) -> Checkpoint:
        """Return how far the kept lines go."""

    def write(self, lines: Sequence[LogLine]) -> None:
        """Keep lines behind all others; raises Unavailable when the disk is full, NotFound when all was deleted.

        To be called without lines now and then, where none come: what is too old goes then.
        """

    def handed_in(self) -> list[LogLine]:
        """Return what other processes handed in since the last time."""

    def close(self) -> None:
        """Let others keep."""


class LogStore(Protocol):
    """Keeps the lines of applications, in the order in which they were let through; `app_id` is a workload's id."""

    def append(self, app_id: str, lines: Sequence[LogLine]) -> None:
        """Hand lines in, from any process: the keeper puts them in order with the containers' own.

        The times of one `source` (by default the service's name) must not go back: each writer has one of its own.
        Raises Unavailable when the disk is full, or when too much waits for a keeper.
        """

    def keeper(self, app_id: str) -> LogKeeper:
        """Become the one who keeps; raises Conflict while another process is, Unavailable when the disk is full."""

    def kept(self, app_id: str) -> bool:
        """Tell whether somebody keeps the lines now."""

    def state(self, app_id: str, position: int | None = None) -> Checkpoint:
        """Return how far the kept lines go, or went up to a position."""

    def read(self, app_id: str, after: int = 0, since: str = "") -> Iterator[tuple[int, LogLine]]:
        """Yield lines behind a position, each with the position behind it; those older than `since` may be left out."""

    def newest(self, app_id: str, count: int, wanted: Callable[[LogLine], bool]) -> list[tuple[int, LogLine]]:
        """Return the last lines that are wanted, oldest first."""

    def delete(self, app_id: str) -> None:
        """Forget an application's lines."""

    def ids(self) -> list[str]:
        """Return the applications of which there is anything."""


# --- jobs --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """A command that runs once: `run.service` says what of, by the name that its log lines carry.

    With `stdin` its input is open until the first who is attached ends it; `terminal` gives it one.
    """

    id: str
    run: Run
    terminal: bool = False
    stdin: bool = False


@dataclasses.dataclass(frozen=True)
class JobSeen:
    """A job's container: `state` is created, running or exited; `reason` says in words how it ended.

    Times are seconds of the epoch, 0 where that has not happened.
    """

    state: str
    exit_code: int | None = None
    reason: str = ""
    started_at: float = 0
    ended_at: float = 0


class Stream(Protocol):
    """A command's input and output while it runs; reading and writing may be done by two threads."""

    def read(self) -> tuple[int, bytes] | None:
        """Return a piece of output with its stream (1 stdout, 2 stderr), None at the end; waits for it."""

    def write(self, data: bytes) -> None:
        """Send input."""

    def end_input(self) -> None:
        """Tell the command that its input has ended; output goes on."""

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""

    def result(self) -> tuple[int, str]:
        """Return the exit code and in words how it ended; after the end of output."""

    def close(self) -> None:
        """End the reading, from whichever thread; the command is not stopped by it."""


class Jobs(Protocol):
    """Runs commands once, each in a container of its own on a given node (by name), and in running replicas."""

    def create(self, access: ClusterAccess, node: str, job: JobSpec) -> None:
        """Make the job's container (network and volumes included) without starting it; finds the one that is there."""

    def start(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Start it, unless it has been; raises GiveUp when the command can't be run."""

    def look(self, access: ClusterAccess, node: str, job_id: str) -> JobSeen | None:
        """Return what is seen of it; None when there is none."""

    def stop(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop it within its own grace; what it wrote stays."""

    def remove(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop and remove it."""

    def tail(self, access: ClusterAccess, node: str, job_id: str, lines: int) -> str:
        """Return the last lines that it wrote."""

    def attach(self, access: ClusterAccess, node: str, job_id: str) -> Stream:
        """Return the stream of a job that has not been started yet, so that nothing of it is missed."""

    def exec(
        self, access: ClusterAccess, replica: Replica, command: Sequence[str], *, terminal: bool = False
    ) -> Stream:
        """Begin a command in a running replica; raises NotFound when that is gone."""


# --- sources and builds ------------------------------------------------------------------------


class Sources(Protocol):
    """Keeps source archives (gzip'd tars) by digest, and fetches git repositories into them."""

    def put(self, stream: BinaryIO, limit: int) -> str:
        """Store an archive; return its sha256; raises TooLarge beyond `limit` bytes, BadInput when it is none."""

    def fetch(self, repository: str, revision: str, log: Log) -> tuple[str, str]:
        """Clone and store a revision; return (digest, commit); raises GiveUp with git's own words."""

    def exists(self, digest: str) -> bool:
        """Tell whether the archive is kept."""

    def unpack(self, digest: str, folder: str) -> None:
        """Write the archive's tree into an empty folder; refuses what would leave it (GiveUp)."""

    def delete(self, digest: str) -> None:
        """Forget the archive."""


@dataclasses.dataclass(frozen=True)
class RefUpdate:
    """What a `git push` wants of one ref: to lead from commit `old` to `new` (empty: there is none)."""

    ref: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A `git push` that has arrived but is not accepted: `archive(commit, log)` stores a commit's tree by digest.

    `terminal` tells whether a person watches; `tell` writes one line to the client.
    """

    updates: tuple[RefUpdate, ...]
    terminal: bool
    archive: Callable[[str, Log], str]
    tell: Log


class GitRepositories(Protocol):
    """Keeps a bare git repository for each application, which its members push to."""

    def advertise(self, app_id: str, service: str, protocol: str) -> bytes:
        """Return the refs in the words of a service (upload-pack or receive-pack); makes the repository at first."""

    def receive(self, app_id: str, body: BinaryIO, judge: Callable[[Pushed], bool]) -> Iterator[bytes]:
        """Take a push, and yield git's answer; refs are changed only if `judge` says yes.

        `judge` runs in a thread of its own, to its end even where the client has gone. Raises BadInput, TooLarge.
        """

    def serve(self, app_id: str, body: BinaryIO, protocol: str) -> Iterator[bytes]:
        """Yield git's answer to a fetch."""

    def delete(self, app_id: str) -> None:
        """Forget the repository."""


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """One image to be made: from `folder` (a service's context), on `node`, published as `repository:tag`.

    `revision` is what the source was called, for the image's labels.
    """

    node: NodeAccess
    folder: str
    service: Service
    repository: str
    tag: str
    project_id: str
    app_id: str
    revision: str = ""


@dataclasses.dataclass(frozen=True)
class Rebased:
    """An image by digest, and the stack that it is on (`stackyard/python@sha256:...`)."""

    image: str
    stack: str


class Rebaser(Protocol):
    """Moves images to newer stacks, in the registry alone."""

    def rebase(self, image: str) -> Rebased:
        """Return the image (by digest) as it is on the newest of its stack; the same where it is on that already.

        Raises GiveUp where it was not made by a language pack or buildpack, or the stack promises something else now.
        """


class Builder(Protocol):
    """Turns source trees into images in the registry, on the tenant's own node."""

    def detect(self, folder: str) -> AppSpec:
        """Read compose.yaml, Dockerfile, Procfile or plain source; raises GiveUp saying what is missing."""

    def build(self, request: BuildRequest, log: Log) -> str:
        """Build and publish; return the image reference by digest; raises GiveUp with the log's end."""

    def resolve(self, node: NodeAccess, image: str, project_id: str) -> str:
        """Return a reference by digest that the cluster's nodes can pull for a plain `image:`."""


class Registry(Protocol):
    """The platform's image registry as seen from nodes."""

    def address(self) -> str:
        """Return `host:port` under which nodes reach the registry."""

    def grant(
        self, repositories: Sequence[str], actions: Sequence[str], mount: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """Return engine auth (X-Registry-Auth as a dict) for these repositories, short-lived.

        Layers may also be taken from the repositories in `mount`, which saves pushing them again.
        """

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the manifest digest, or None when there is no such image."""

    def attach(self, cluster_id: str) -> None:
        """Make the registry reachable from the cluster's network."""

    def detach(self, cluster_id: str) -> None:
        """Undo `attach`, so that the network can go."""

    def delete(self, prefix: str) -> None:
        """Delete all images whose repository begins with `prefix`."""


# --- routing and secrets -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Route:
    """How a host is answered for, besides by its servers.

    `owner` is APP_ID/ENVIRONMENT, which access logs carry. `https_only` sends plain HTTP to HTTPS. `pair` is served
    to TLS clients (`cert` with its chain; None: the platform's default). `note` says in words why there may be no
    ready replica; it is told only while there is none.
    """

    owner: str
    https_only: bool = False
    maintenance: Maintenance | None = None
    pair: TLSPair | None = None
    note: str = ""

    @property
    def mark(self) -> str:
        """Return what differs as soon as anything but the note does."""
        rules = json.dumps([self.owner, self.https_only, self.maintenance and dataclasses.astuple(self.maintenance)])
        return digest(rules) + "." + (digest(self.pair.pem) if self.pair else "")


@dataclasses.dataclass(frozen=True)
class Told:
    """What a router was told last of a host and does: the mark and the note of its route."""

    mark: str = ""
    note: str = ""


def digest(text: str) -> str:
    """Return what marks compare texts by."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Router(Protocol):
    """Leads HTTP requests for a host name to ready replicas."""

    def put(self, host: str, servers: Mapping[str, str], route: Route | None = None) -> None:
        """Make exactly these servers (name → address:port) take new requests for the host.

        Without a `route` the host is answered for as before.
        """

    def servers(self, host: str) -> Mapping[str, str]:
        """Return the servers that take new requests for the host."""

    def idle(self, host: str, server: str) -> bool:
        """Tell whether a server taken out has finished its requests."""

    def remove(self, host: str, owner: str = "") -> None:
        """Answer for the host no longer, unless it is another owner's by now."""

    def hosts(self, owner: str = "") -> list[str]:
        """Return all host names routed, or those that belong to an owner."""

    def told(self, host: str) -> Told:
        """Return what was told last of the host; empty marks when that has to be told again."""


class Secrets(Protocol):
    """Keeps secrets unreadable at rest."""

    def seal(self, clear: str) -> str:
        """Return the sealed form, safe to store."""

    def open(self, sealed: str) -> str:
        """Return the clear text; raises GiveUp when the key is not the one it was sealed with."""


class Certificates(Protocol):
    """Makes certificate authorities and signs with them (X.509, RFC 5280)."""

    def authority(self, name: str) -> Authority:
        """Make a CA."""

    def server(self, authority: Authority, name: str, address: str) -> TLSPair:
        """Issue a certificate for a node's engine: `name` and `address` as subject alternative names."""

    def client(self, authority: Authority, name: str, days: int) -> TLSPair:
        """Issue a certificate that a client may authenticate with."""

    def sign(self, authority: Authority, csr: str, hours: float, subject: Mapping[str, str] | None = None) -> str:
        """Sign a request (PEM) for client authentication; raises BadInput when it is none.

        `subject` (CN, O, OU) replaces the request's own.
        """

    def cross(self, authority: Authority, successor: Authority) -> str:
        """Return the successor's certificate as signed by the authority, for who trusts only that."""
