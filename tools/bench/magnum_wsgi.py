# SPDX-License-Identifier: Apache-2.0
"""Magnum's own API over rows of its own, as gunicorn serves it for `tools.bench.api`. Runs in .venv-oracle.

Nothing of Magnum is replaced: its pipeline, its middleware for Keystone, its objects. Only the middleware's cache,
which would be memcached, is in the process's memory, as ours is.

    MAGNUM_CONF=FILE BENCH_PROJECT=ID BENCH_CLUSTERS=1000 gunicorn tools.bench.magnum_wsgi:application
"""

from __future__ import annotations

import datetime
import os
import sys
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from magnum.api import app
from magnum.db.sqlalchemy import models
from oslo_db.sqlalchemy import enginefacade

CACHE = "bench.cache"


class Cache(dict[str, Any]):
    """What keystonemiddleware wants of a cache; the bench is over before anything in it is old."""

    def set(self, key: str, value: Any, time: float = 0) -> None:
        self[key] = value


def fill(project: str, count: int) -> None:
    """Write a template and clusters of it, each with its two groups, as the conductor leaves them."""
    engine = enginefacade.writer.get_engine()
    models.Base.metadata.create_all(engine)
    owned = {"project_id": project, "created_at": datetime.datetime.now(datetime.UTC).replace(tzinfo=None)}
    template = {"uuid": str(uuid.uuid4()), "name": "t", "coe": "kubernetes", "image_id": "node", "labels": {}, **owned}
    clusters = [_cluster(number, template["uuid"], owned) for number in range(count)]
    groups = [_group(cluster, role, owned) for cluster in clusters for role in ("master", "worker")]
    with engine.begin() as connection:
        connection.execute(models.ClusterTemplate.__table__.insert(), template)
        connection.execute(models.Cluster.__table__.insert(), clusters)
        connection.execute(models.NodeGroup.__table__.insert(), groups)


def _cluster(number: int, template: str, owned: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": str(uuid.uuid4()),
        "name": f"c{number}",
        "cluster_template_id": template,
        "labels": {"drain_seconds": "30"},
        "create_timeout": 60,
        "status": "CREATE_COMPLETE",
        "health_status": "HEALTHY",
        "health_status_reason": {"api": "ok"},
        "api_address": "https://10.1.1.1:6443",
        "coe_version": "1.30",
        **owned,
    }


def _group(cluster: dict[str, Any], role: str, owned: dict[str, Any]) -> dict[str, Any]:
    return {
        "uuid": str(uuid.uuid4()),
        "name": f"default-{role}",
        "cluster_id": cluster["uuid"],
        "role": role,
        "node_count": 1,
        "min_node_count": 0,
        "is_default": True,
        "status": "CREATE_COMPLETE",
        "node_addresses": ["10.1.1.1"],
        "labels": {},
        **owned,
    }


def _cached(api: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    cache = Cache()

    def with_cache(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[CACHE] = cache
        return api(environ, start_response)

    return with_cache


sys.argv = ["magnum-api", "--config-file", os.environ["MAGNUM_CONF"]]  # what Magnum reads, in place of gunicorn's
application = _cached(app.build_wsgi_app())
fill(os.environ["BENCH_PROJECT"], int(os.environ["BENCH_CLUSTERS"]))
