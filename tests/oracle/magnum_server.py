# SPDX-License-Identifier: Apache-2.0
"""The real API of Magnum on loopback, for `tests.oracle.magnum`. Runs in an environment of its own (.venv-oracle).

Real: routes, validation, policy, microversions, objects, SQLite, certificates, and the conductor's own handlers. In
place of the rest: RPC is a plain call of those handlers; a cloud with a few images, flavors and networks; a driver
that does nothing, since upstream has none left. Identity comes in the headers that Keystone's middleware would set.

    python magnum_server.py FOLDER      prints the port that it listens on

`POST /oracle/NAME` with arguments in JSON calls one of `ORDERS`: what drivers and operators would do.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import pathlib
import sqlite3
import sys
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import magnum.conf
from cryptography.hazmat.primitives.asymmetric import rsa
from magnum import objects
from magnum.api import app as magnum_app
from magnum.common import clients, config, context, policy
from magnum.conductor import api as conductor
from magnum.conductor.handlers import (
    ca_conductor,
    cluster_conductor,
    credential_conductor,
    federation_conductor,
    nodegroup_conductor,
)
from magnum.db.sqlalchemy import models
from magnum.drivers.common import driver
from openstack import exceptions
from openstack.compute.v2 import flavor, keypair
from openstack.image.v2 import image
from openstack.network.v2 import network, subnet
from oslo_db.sqlalchemy import enginefacade
from oslo_log import log
from oslo_middleware import request_id

CONF = magnum.conf.CONF
HANDLERS = (
    cluster_conductor.Handler(),
    nodegroup_conductor.Handler(),
    ca_conductor.Handler(),
    credential_conductor.Handler(),
    federation_conductor.Handler(),
)
OPTIONS = """[DEFAULT]
host = here
transport_url = fake:/
use_stderr = true
[database]
connection = sqlite:///{folder}/magnum.db
sqlite_synchronous = false
[certificates]
cert_manager_type = x509keypair
[oslo_messaging_notifications]
driver = noop
"""
COMPLETE = {"CREATE_IN_PROGRESS": "CREATE_COMPLETE", "UPDATE_IN_PROGRESS": "UPDATE_COMPLETE"}
FAILED = {"CREATE_IN_PROGRESS": "CREATE_FAILED", "UPDATE_IN_PROGRESS": "UPDATE_FAILED"}


class Cloud:
    """Stands for Glance, Nova, Neutron and Keystone at once: the few things that requests may name."""

    def __init__(self, _context: Any) -> None:
        self.client = self

    def __getattr__(self, service: str) -> Callable[[], Cloud]:
        return lambda: self

    def find_image(self, ident: str, **_: Any) -> image.Image:
        if ident == "node":
            return image.Image(id="7a1b", name="node", os_distro="debian")
        if ident == "bare":
            return image.Image(id="7a1c", name="bare")
        raise exceptions.NotFoundException(ident)

    def flavors(self) -> Iterator[flavor.Flavor]:
        yield from (flavor.Flavor(id=name, name=name, disk=10) for name in ("small", "medium"))

    def get_keypair(self, name: str) -> keypair.Keypair:
        if name != "mine":
            raise exceptions.NotFoundException(name)
        return keypair.Keypair(name=name)

    def networks(self, **query: Any) -> Iterator[network.Network]:
        yield network.Network(id="public", name="public")
        if not query.get("is_router_external"):
            yield network.Network(id="private", name="private")

    def subnets(self) -> Iterator[subnet.Subnet]:
        yield subnet.Subnet(id="private-subnet", name="private-subnet")

    def get_project(self, ident: str) -> str:
        if not ident or not ident.startswith("id-"):
            raise exceptions.ResourceNotFound(ident)
        return ident


class Idle(driver.Driver):
    """A driver that promises and does nothing; `ORDERS` say when it is done."""

    provides = ()

    def create_cluster(self, context: Any, cluster: Any, timeout: Any) -> None:
        cluster.stack_id = cluster.uuid

    def create_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        nodegroup.stack_id = cluster.uuid

    def delete_nodegroup(self, context: Any, cluster: Any, nodegroup: Any) -> None:
        nodegroup.save()

    def _nothing(self, *_: Any, **__: Any) -> None: ...

    update_cluster = delete_cluster = resize_cluster = upgrade_cluster = update_nodegroup = _nothing
    create_federation = update_federation = delete_federation = _nothing
    rotate_credential = rotate_ca_certificate = _nothing


class Conductor:
    """In place of RPC: the conductor's own code, called at once. Casts hide errors as a queue would."""

    def __init__(self, context: Any = None, **_: Any) -> None:
        self.context = context

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = name.removesuffix("_async")

        def call(*args: Any, **kwargs: Any) -> Any:
            handler = next(each for each in HANDLERS if hasattr(each, method))
            try:
                # A queue would copy what it carries: nothing that the conductor changes shows in the answer.
                return getattr(handler, method)(self.context, *copy.deepcopy(args), **copy.deepcopy(kwargs))
            except Exception:
                if not name.endswith("_async"):
                    raise

        return call


def admin() -> Any:
    return context.make_admin_context(all_tenants=True)


def reset() -> None:
    """Forget every row."""
    with enginefacade.writer.get_engine().begin() as connection:
        for table in reversed(models.Base.metadata.sorted_tables):
            connection.execute(table.delete())


def reach(uuid: str) -> None:
    """Let the driver report that the cluster is as asked for."""
    cluster = objects.Cluster.get_by_uuid(admin(), uuid)
    host = itertools.count(2)
    for group in cluster.nodegroups:
        if group.status == "DELETE_IN_PROGRESS":
            group.destroy()
            continue
        group.status = COMPLETE.get(group.status, group.status)
        group.node_addresses = [f"10.9.0.{next(host)}" for _ in range(group.node_count)]
        group.save()
    cluster.status, cluster.status_reason = COMPLETE.get(cluster.status, cluster.status), None
    cluster.api_address, cluster.coe_version, cluster.container_version = "tcp://10.9.0.2:2376", "20.10", "20.10"
    cluster.health_status, cluster.health_status_reason = "HEALTHY", {"api": "ok"}
    cluster.save()


def fail(uuid: str, reason: str) -> None:
    """Let the driver report failure."""
    cluster = objects.Cluster.get_by_uuid(admin(), uuid)
    for each in (*cluster.nodegroups, cluster):
        if each.status in FAILED:
            each.status, each.status_reason = FAILED[each.status], reason
            each.save()


def gone(uuid: str) -> None:
    """Let the driver report that nothing is left."""
    cluster = objects.Cluster.get_by_uuid(admin(), uuid)
    for group in cluster.nodegroups:
        group.destroy()
    cluster.destroy()


def beat() -> None:
    """Let the conductor send its heartbeat."""
    service = objects.MagnumService(admin(), host="here", binary="magnum-conductor")
    service.create()
    service.report_state_up()


ORDERS: dict[str, Callable[..., None]] = {f.__name__: f for f in (reset, reach, fail, gone, beat)}


def application() -> Callable[..., Iterable[bytes]]:
    """Return Magnum's own application with the one filter of its pipeline that clients see, and the orders beside."""
    api = request_id.RequestId(magnum_app.setup_app())

    def route(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        name = environ["PATH_INFO"].removeprefix("/oracle/")
        if name == environ["PATH_INFO"]:
            return api(environ, start_response)  # type: ignore[no-any-return]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        ORDERS[name](**json.loads(environ["wsgi.input"].read(length) or b"{}"))
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    return route


def prepare(folder: pathlib.Path) -> None:
    """Set Magnum up: SQLite in the folder, certificates in the database, no broker."""
    log.register_options(CONF)
    file = folder / "magnum.conf"
    file.write_text(OPTIONS.format(folder=folder))
    config.parse_args(["magnum"], default_config_files=[str(file)])
    log.setup(CONF, "magnum")
    policy.init()
    # Some requests of Magnum leave a reader open, which without this would lock out every writer after it.
    sqlite3.connect(folder / "magnum.db").execute("PRAGMA journal_mode=WAL")
    models.Base.metadata.create_all(enginefacade.writer.get_engine())
    clients.OpenStackClients = Cloud
    conductor.API = Conductor
    # Three authorities a cluster: making as many keys would take a second each time.
    rsa.generate_private_key = functools.cache(rsa.generate_private_key)
    driver.Driver.get_driver = classmethod(lambda cls, *_, **__: Idle())
    driver.Driver.get_default_driver = classmethod(lambda cls: "idle")


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    """Says nothing about each request."""

    def log_message(self, *_: Any) -> None: ...


if __name__ == "__main__":
    prepare(pathlib.Path(sys.argv[1]))
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application(), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()
