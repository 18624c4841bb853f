# SPDX-License-Identifier: Apache-2.0
"""The first schema, as it was when there was a second revision; `stackyard.store.tables` has gone on since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

TIME = sa.String(40)
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def upgrade() -> None:
    """Create all tables that are not there; the way was cut short once where some are."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop all tables."""
    metadata.drop_all(op.get_bind())


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False, index=True),
    ]


def _times() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME),
    ]


def _scheduled() -> list[sa.Column[object]]:
    """Return the columns of an object that the worker looks after: state, then scheduling."""
    return [
        *_identity(),
        sa.Column("name", sa.String(255), nullable=False, index=True),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("observed_generation", sa.Integer, nullable=False),
        sa.Column("status_reason", sa.Text),
        sa.Column("deadline", TIME),
        *_times(),
        sa.Column("intent", sa.JSON, nullable=False),
        sa.Column("observed", sa.JSON, nullable=False),
        sa.Column("due", sa.Double, nullable=False, index=True),
        sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    ]


sa.Table("clusters", metadata, *_scheduled(), sa.Column("template_id", sa.String(36), nullable=False, index=True))

sa.Table(
    "cluster_templates",
    metadata,
    *_identity(),
    sa.Column("name", sa.String(255), index=True),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("hidden", sa.Boolean, nullable=False),
    *_times(),
    sa.Column("body", sa.JSON, nullable=False),
)

sa.Table(
    "nodegroups",
    metadata,
    *_identity(),
    sa.Column(
        "cluster_id", sa.String(36), sa.ForeignKey("clusters.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("name", sa.String(255), nullable=False),
    *_times(),
    sa.Column("body", sa.JSON, nullable=False),
    sa.UniqueConstraint("cluster_id", "name"),
)

sa.Table("applications", metadata, *_scheduled(), sa.UniqueConstraint("project_id", "name"))

sa.Table(
    "builds",
    metadata,
    *_scheduled(),
    sa.Column(
        "app_id", sa.String(36), sa.ForeignKey("applications.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("number", sa.Integer, nullable=False),
    sa.UniqueConstraint("app_id", "number"),
)

sa.Table(
    "build_logs",
    metadata,
    sa.Column("build_id", sa.String(36), sa.ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
)

sa.Table(
    "releases",
    metadata,
    *_identity(),
    sa.Column(
        "app_id", sa.String(36), sa.ForeignKey("applications.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.UniqueConstraint("app_id", "number"),
)

sa.Table(
    "deployments",
    metadata,
    *_scheduled(),
    sa.Column(
        "app_id", sa.String(36), sa.ForeignKey("applications.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("cluster_id", sa.String(36), nullable=False, index=True),
    sa.Column("environment", sa.String(63), nullable=False),
    sa.UniqueConstraint("app_id", "environment"),
)

sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("noun", sa.String(20), nullable=False),
    sa.Column("object_id", sa.String(36), nullable=False, index=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", TIME, nullable=False),
)

sa.Table(
    "quotas",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("resource", sa.String(40), nullable=False),
    sa.Column("hard_limit", sa.Integer),
    sa.Column("in_use", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", TIME, nullable=False),
    sa.Column("updated_at", TIME),
    sa.UniqueConstraint("project_id", "resource"),
)
