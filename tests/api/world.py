# SPDX-License-Identifier: Apache-2.0
"""A whole API for tests: real store on SQLite, real secrets, certificates and archives; only the engine is faked.

Identity is a stand-in for Keystone's middleware that exists here alone: a token says who one is,
`USER@PROJECT:ROLE,ROLE`. What the worker would do, tests do by hand through the store's own leases.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

from oslo_config import cfg
from werkzeug.test import Client, TestResponse

from stackyard import conf as options
from stackyard.api import http
from stackyard.api.services import Services
from stackyard.drivers.builders import detect, tree_plans
from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.logs.files import FileLogStore
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.drivers.sources.repositories import BareRepositories, Room
from stackyard.drivers.workloads.jobs import SwarmJobs
from stackyard.intents import Intents, Rules
from stackyard.model.applications import Application, AppSpec, Deployment, Release, Service
from stackyard.model.clusters import Cluster, ClusterObserved, Node, NodeGroup, node_name, numbers
from stackyard.model.logs import Checkpoint, LogLine, Marks
from stackyard.model.phase import IN_PROGRESS, Trigger, after
from stackyard.model.ports import ClusterAccess, Replica, RunSeen
from stackyard.store import Store
from stackyard.store.leases import Leases

MEMBER, READER, OTHER, ADMIN = "ann@demo:member,reader", "ron@demo:reader", "oli@other:member,reader", "adm@ops:admin"
COLLEAGUE = "bob@demo:member,reader"


def identity(app: Callable[..., Any]) -> Callable[..., Any]:
    """Stand in for keystonemiddleware: believes any token of the form USER@PROJECT:ROLE,ROLE."""

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        for name in [name for name in environ if name.startswith("HTTP_X_") and "AUTH" not in name]:
            del environ[name]
        user, _, rest = environ.get("HTTP_X_AUTH_TOKEN", "").partition("@")
        project, _, roles = rest.partition(":")
        if not user or not project:
            start_response(
                "401 Unauthorized", [("WWW-Authenticate", "Keystone uri='x'"), ("Content-Type", "text/plain")]
            )
            return [b"no"]
        environ |= {
            "HTTP_X_IDENTITY_STATUS": "Confirmed",
            "HTTP_X_USER_ID": user,
            "HTTP_X_PROJECT_ID": "" if project == "unscoped" else f"id-{project}",
            "HTTP_X_PROJECT_NAME": project,
            "HTTP_X_USER_NAME": user.upper(),
            "HTTP_X_ROLES": roles,
        }
        return app(environ, start_response)

    return middleware


def sign_in(user: str, password: str, app: str) -> str | None:
    """Stand in for Keystone: everybody's password is `open-sesame`, and the project is demo."""
    return f"{user}@demo:member,reader" if password == "open-sesame" else None


class Engine:
    """A cluster's engine as far as live reads go."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return one run of one replica."""
        task = Replica("t1", "r1", "web", 1, access.nodes[0].name, "running", "10.0.0.2:80", 1_700_000_000.5)
        return [RunSeen("r1", app_id, "web", 1, "d", 1, (dataclasses.replace(task, image="sha256:ab"),))]

    def glance(self, access: ClusterAccess, app_id: str, *, usage: bool = False) -> list[RunSeen]:
        """Return the same; with its use of CPU and memory where asked for."""
        (run,) = self.runs(access, app_id)
        figures = {"cpu": 0.5, "memory": 1 << 20, "memory_limit": 2 << 20} if usage else {}
        return [dataclasses.replace(run, tasks=(dataclasses.replace(run.tasks[0], **figures),))]

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
        """Yield the lines that the test has put here."""
        passed = after.marks.copy() if after else Marks()
        found = [line for line in self.lines if service in (None, line.service) and not passed.skips(line)]
        yield from found if tail is None else found[len(found) - tail :]


class World:
    """The API in a folder of its own."""

    def __init__(self, folder: pathlib.Path, *switches: str, **rules: Any) -> None:
        """Serve with these options of `[api]` switched on, by these rules."""
        made = (folder / "stackyard.db").exists()
        ensure_key(folder / "secret.key")
        self.conf = cfg.ConfigOpts()
        options.register_opts(self.conf)
        self.conf([], project="stackyard", default_config_files=[])
        self.conf.set_override("max_body_mb", 1, "api")
        self.conf.set_override("state_dir", str(folder))
        for name in switches:
            self.conf.set_override(name, True, "api")
        self.store = Store(f"sqlite:///{folder}/stackyard.db")
        if not made:
            self.store.migrate()
        self.secrets = FernetSecrets(folder / "secret.key")
        self.engine = Engine()
        self.authorities = Authorities(self.secrets, X509())
        sources = SourceFolder(folder / "sources")
        self.newest: dict[str, str] = {}
        self.services = Services(
            conf=self.conf,
            store=self.store,
            intents=Intents.of(self.store, self.secrets, dataclasses.replace(Rules.read(self.conf), **rules)),
            secrets=self.secrets,
            certificates=X509(),
            authorities=self.authorities,
            workloads=self.engine,  # type: ignore[arg-type]
            jobs=SwarmJobs(None),
            logs=FileLogStore(folder / "logs"),
            sources=sources,
            repositories=BareRepositories(folder / "repositories", sources, Room(push=1024 * 1024)),
            plan=lambda tree: tree_plans.plan(pathlib.Path(tree)).as_dict(),
            detect=lambda tree: detect.detect(pathlib.Path(tree)),
            newest=self.newest.get,
            reach=self.authorities.reach,
        )
        self.serve()

    def serve(self) -> None:
        """Begin to serve, with the options and the policy file as they are now."""
        self.app = http.create_app(self.services, authenticate=identity, sign_in=sign_in)
        self.client = Client(self.app)

    def close(self) -> None:
        """Let the database go."""
        self.store.engine.dispose()

    def call(self, method: str, path: str, body: Any = None, token: str = MEMBER, **headers: str) -> TestResponse:
        """Send a request with JSON; return the response, whatever its status."""
        sent = {"X-Auth-Token": token, **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if data and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        return self.client.open(path, method=method, data=data, headers=sent)

    # --- what the worker would do ---------------------------------------------------------------

    def reach(self, noun: str, object_id: str, **seen: Any) -> Any:
        """Bring an object to where its intent is reached, with what was seen on the way."""
        return self._save(noun, object_id, Trigger.REACHED, seen)

    def fail(self, noun: str, object_id: str, reason: str, **seen: Any) -> Any:
        """Let the worker give an object up."""
        return self._save(noun, object_id, Trigger.GAVE_UP, {"status_reason": reason, **seen})

    def _save(self, noun: str, object_id: str, trigger: Trigger, seen: dict[str, Any]) -> Any:
        leases = Leases(self.store, lambda tx: getattr(tx, noun), 60)
        held = []
        while (taken := leases.acquire()) is not None:
            held.append(taken)
        try:
            lease, record = next(pair for pair in held if pair[0].object_id == object_id)
            return leases.save(lease, dataclasses.replace(record, **seen), trigger)
        finally:
            for lease, _ in held:
                leases.release(lease, 0)

    def cluster(self, name: str = "one", token: str = MEMBER, **more: Any) -> Cluster:
        """Return a cluster that is ready, made of a template of its own."""
        template = {"coe": "swarm-mode", "image_id": "node", "name": f"t-{name}"}
        made = self.call("POST", "/container-infra/v1/clustertemplates", template, token).json
        wanted = {"name": name, "cluster_template_id": made["uuid"], **more}
        uuid = self.call("POST", "/container-infra/v1/clusters", wanted, token).json["uuid"]
        return self.ready(uuid)

    def ready(self, uuid: str) -> Cluster:
        """Bring a cluster to ready, with all its nodes and its own CA (the first time)."""
        with self.store.reading() as tx:
            cluster, groups = tx.clusters.get(uuid), tx.nodegroups.of([uuid])[uuid]
        wanted = [(group, number) for group in groups for number in numbers(group)]
        nodes = tuple(
            Node(
                node_name(cluster, group, number),
                group.id,
                group.role,
                f"10.9.0.{host}",
                "ready",
                f"member-{host}",
                cluster.trust,
            )
            for host, (group, number) in enumerate(wanted, start=2)
        )
        observed = ClusterObserved(
            nodes=nodes, api_address="tcp://10.9.0.2:2376", engine_version="20.10", health="HEALTHY"
        )
        while self.authorities.newest(cluster) < cluster.authority:
            cluster = dataclasses.replace(cluster, secrets=self.authorities.make_next(cluster))
        self._settle(groups)
        return self.reach("clusters", uuid, observed=observed, secrets=cluster.secrets)  # type: ignore[no-any-return]

    def _settle(self, groups: list[NodeGroup]) -> None:
        with self.store.saving() as tx:
            for group in groups:
                if group.phase in IN_PROGRESS:
                    tx.nodegroups.save(dataclasses.replace(group, phase=after(group.phase, Trigger.REACHED)))

    def application(self, name: str = "shop", token: str = MEMBER) -> Application:
        """Return an application on the project's cluster."""
        made = self.call("POST", "/application-deployment/v1/apps", {"name": name}, token).json
        return self.reach("applications", made["uuid"])  # type: ignore[no-any-return]

    def release(self, app: Application, number: int = 1, *services: Service, config: str | None = None) -> Deployment:
        """Let release `number` of an application serve."""
        spec = AppSpec(services or (Service("web", image="r/web@sha256:1", port=8000),))
        release = Release(
            project_id=app.project_id, app_id=app.id, number=number, spec=spec, config=config, summary=f"push {number}"
        )
        with self.store.transaction() as tx:
            tx.releases.insert(release)
            deployment = tx.deployments.of(app.id)
            assert deployment
            deployment = tx.deployments.change(deployment, Trigger.CHANGE, "release", release=number)
        return self.reach("deployments", deployment.id, serving=number)  # type: ignore[no-any-return]


def archive(**files: str) -> bytes:
    """Return a gzip'd tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
