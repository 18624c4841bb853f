# SPDX-License-Identifier: Apache-2.0
"""All tables, as SQLAlchemy Core. Columns exist for what is queried; the rest is JSON.

A scheduled noun keeps what was asked in `intent` and what was seen in `observed`, so that a request and
a worker that save at the same moment never overwrite each other's half.
"""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UTCTime(TypeDecorator[datetime.datetime]):
    """An aware time as fixed-width ISO 8601 text in UTC: sorts as time on every database."""

    impl = sa.String(40)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> str | None:
        """Turn a time into text."""
        return value.astimezone(datetime.UTC).isoformat(timespec="microseconds") if value else None

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Turn text into a time."""
        return datetime.datetime.fromisoformat(value) if value else None


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False, index=True),
    ]


def _times() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", UTCTime, nullable=False),
        sa.Column("updated_at", UTCTime),
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
        sa.Column("deadline", UTCTime),
        *_times(),
        sa.Column("intent", sa.JSON, nullable=False),
        sa.Column("observed", sa.JSON, nullable=False),
        sa.Column("due", sa.Double, nullable=False, index=True),
        sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    ]


clusters = sa.Table(
    "clusters", metadata, *_scheduled(), sa.Column("template_id", sa.String(36), nullable=False, index=True)
)

# Lists begin with the oldest: without this each page would sort all rows of the project.
sa.Index("ix_clusters_project_id_created_at", clusters.c.project_id, clusters.c.created_at, clusters.c.id)

cluster_templates = sa.Table(
    "cluster_templates",
    metadata,
    *_identity(),
    sa.Column("name", sa.String(255), index=True),
    sa.Column("public", sa.Boolean, nullable=False),
    sa.Column("hidden", sa.Boolean, nullable=False),
    *_times(),
    sa.Column("body", sa.JSON, nullable=False),
)

nodegroups = sa.Table(
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

applications = sa.Table("applications", metadata, *_scheduled(), sa.UniqueConstraint("project_id", "name"))

_app = ("applications.id",)

builds = sa.Table(
    "builds",
    metadata,
    *_scheduled(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("environment", sa.String(63), nullable=False, server_default="production"),
    sa.UniqueConstraint("app_id", "number"),
)

build_logs = sa.Table(
    "build_logs",
    metadata,
    sa.Column("build_id", sa.String(36), sa.ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
)

releases = sa.Table(
    "releases",
    metadata,
    *_identity(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("environment", sa.String(63), nullable=False, server_default="production"),
    sa.Column("created_at", UTCTime, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.UniqueConstraint("app_id", "number"),
)

deployments = sa.Table(
    "deployments",
    metadata,
    *_scheduled(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("cluster_id", sa.String(36), nullable=False, index=True),
    sa.Column("environment", sa.String(63), nullable=False),
    sa.UniqueConstraint("app_id", "environment"),
)

domains = sa.Table(
    "domains",
    metadata,
    *_identity(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("host", sa.String(253), nullable=False, unique=True),
    sa.Column("created_at", UTCTime, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

trusts = sa.Table(
    "trusts",
    metadata,
    *_identity(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, unique=True),
    sa.Column("created_at", UTCTime, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    *_scheduled(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.UniqueConstraint("app_id", "number"),
)

backups = sa.Table(
    "backups",
    metadata,
    *_scheduled(),
    sa.Column("app_id", sa.String(36), sa.ForeignKey(*_app, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("environment", sa.String(63), nullable=False),
    sa.Column("service", sa.String(63), nullable=False),
    sa.Column("moved", sa.BigInteger, nullable=False, server_default="0"),
    sa.UniqueConstraint("app_id", "number"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("noun", sa.String(20), nullable=False),
    sa.Column("object_id", sa.String(36), nullable=False, index=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", UTCTime, nullable=False),
)

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("resource", sa.String(40), nullable=False),
    sa.Column("hard_limit", sa.Integer),
    sa.Column("in_use", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", UTCTime, nullable=False),
    sa.Column("updated_at", UTCTime),
    sa.UniqueConstraint("project_id", "resource"),
)

services = sa.Table(
    "services",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("binary", sa.String(64), nullable=False),
    sa.Column("report_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", UTCTime, nullable=False),
    sa.Column("updated_at", UTCTime),
    sa.UniqueConstraint("host", "binary"),
)
