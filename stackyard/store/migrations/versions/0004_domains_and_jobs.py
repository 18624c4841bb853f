# SPDX-License-Identifier: Apache-2.0
"""Domains of applications, and jobs: commands that run once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

tables = sa.MetaData()
applications = sa.Table("applications", tables, sa.Column("id", sa.String(36), primary_key=True))


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
    ]


domains = sa.Table(
    "domains",
    tables,
    *_identity(),
    sa.Column("app_id", sa.String(36), nullable=False),
    sa.Column("host", sa.String(253), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_domains"),
    sa.UniqueConstraint("host", name="uq_domains_host"),
    sa.ForeignKeyConstraint(["app_id"], ["applications.id"], ondelete="CASCADE"),
    sa.Index("ix_domains_project_id", "project_id"),
    sa.Index("ix_domains_app_id", "app_id"),
)

jobs = sa.Table(
    "jobs",
    tables,
    *_identity(),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("observed_generation", sa.Integer, nullable=False),
    sa.Column("status_reason", sa.Text),
    sa.Column("deadline", sa.String(40)),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40)),
    sa.Column("intent", sa.JSON, nullable=False),
    sa.Column("observed", sa.JSON, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("app_id", sa.String(36), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    sa.UniqueConstraint("app_id", "number", name="uq_jobs_app_id"),
    sa.ForeignKeyConstraint(["app_id"], ["applications.id"], ondelete="CASCADE"),
    *(sa.Index(f"ix_jobs_{name}", name) for name in ("project_id", "name", "due", "app_id")),
)


def upgrade() -> None:
    """Create the tables unless they are there: not every database can take back half a revision."""
    tables.create_all(op.get_bind(), tables=[domains, jobs], checkfirst=True)


def downgrade() -> None:
    """Drop the tables."""
    tables.drop_all(op.get_bind(), tables=[domains, jobs], checkfirst=True)
