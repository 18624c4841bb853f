# SPDX-License-Identifier: Apache-2.0
"""Environments: cluster, config and scale move from the application to its deployments, one per environment."""

from __future__ import annotations

import time
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOVED: dict[str, Any] = {"config": None, "scale": {}}
PLACE = "cluster_id"

applications = sa.table(
    "applications",
    sa.column("id", sa.String),
    sa.column("project_id", sa.String),
    sa.column("name", sa.String),
    sa.column("phase", sa.String),
    sa.column("created_at", sa.String),
    sa.column("intent", sa.JSON),
)
deployments = sa.table(
    "deployments",
    *(sa.column(name, sa.String) for name in ("id", "project_id", "name", "phase", "created_at", "app_id")),
    *(sa.column(name, sa.String) for name in ("cluster_id", "environment")),
    *(
        sa.column(name, sa.Integer)
        for name in ("generation", "observed_generation", "lease_until", "epoch", "attempts")
    ),
    sa.column("due", sa.Double),
    sa.column("intent", sa.JSON),
    sa.column("observed", sa.JSON),
)


def upgrade() -> None:
    """Move what is there. Each step finds what a broken-off attempt did: not every database takes back half."""
    bind = op.get_bind()
    for table in ("builds", "releases"):
        if not _has_environment(bind, table):
            column = sa.Column("environment", sa.String(63), nullable=False, server_default="production")
            op.add_column(table, column)
    for app in bind.execute(sa.select(applications)).mappings().all():
        _move(bind, app)


def _has_environment(bind: sa.Connection, table: str) -> bool:
    return any(column["name"] == "environment" for column in sa.inspect(bind).get_columns(table))


def _move(bind: sa.Connection, app: sa.RowMapping) -> None:
    """Write the application's wishes to its production row first, and only then forget them where they were."""
    intent: dict[str, Any] = dict(app["intent"])
    moved = {name: intent.get(name) or default for name, default in MOVED.items()}
    production = (deployments.c.app_id == app["id"], deployments.c.environment == "production")
    found = bind.execute(sa.select(deployments).where(*production)).mappings().one_or_none()
    if found is None and app["phase"] not in ("deleting", "delete_failed"):
        bind.execute(deployments.insert().values(**_new(app, intent.get(PLACE) or "", moved)))
    elif found is not None and "config" not in found["intent"]:
        changed = {**found["intent"], **moved}
        bind.execute(deployments.update().where(*production).values(intent=changed))
    kept = {name: value for name, value in intent.items() if name not in (*MOVED, PLACE)}
    bind.execute(applications.update().where(applications.c.id == app["id"]).values(intent=kept))


def _new(app: sa.RowMapping, cluster_id: str, moved: dict[str, Any]) -> dict[str, Any]:
    """Return the production row of an application that nothing has been released of yet."""
    return {
        "id": str(uuid.uuid4()),
        "project_id": app["project_id"],
        "name": app["name"],
        "phase": "ready",
        "created_at": app["created_at"],
        "app_id": app["id"],
        "cluster_id": cluster_id,
        "environment": "production",
        "generation": 1,
        "observed_generation": 1,
        "due": time.time(),
        "intent": {"release": 0, "secret_keys": [], **moved},
        "observed": {"serving": 0, "pins": {}, "switched_at": 0},
    }


def downgrade() -> None:
    """Give the wishes for production back to the application; other environments' rows are left as they are."""
    bind = op.get_bind()
    for row in bind.execute(sa.select(deployments).where(deployments.c.environment == "production")).mappings().all():
        where = applications.c.id == row["app_id"]
        intent = bind.execute(sa.select(applications.c.intent).where(where)).scalar_one()
        back = {name: row["intent"].get(name, default) for name, default in MOVED.items()}
        bind.execute(applications.update().where(where).values(intent={**intent, **back, PLACE: row["cluster_id"]}))
    for table in ("builds", "releases"):
        if _has_environment(bind, table):
            op.drop_column(table, "environment")
