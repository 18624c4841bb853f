# SPDX-License-Identifier: Apache-2.0
"""Keystones of applications whose users are served, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

tables = sa.MetaData()
applications = sa.Table("applications", tables, sa.Column("id", sa.String(36), primary_key=True))

trusts = sa.Table(
    "trusts",
    tables,
    sa.Column("id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("app_id", sa.String(36), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_trusts"),
    sa.UniqueConstraint("app_id", name="uq_trusts_app_id"),
    sa.ForeignKeyConstraint(["app_id"], ["applications.id"], ondelete="CASCADE"),
    sa.Index("ix_trusts_project_id", "project_id"),
)


def upgrade() -> None:
    """Create the table unless it is there: not every database can take back half a revision."""
    tables.create_all(op.get_bind(), tables=[trusts], checkfirst=True)


def downgrade() -> None:
    """Drop the table."""
    tables.drop_all(op.get_bind(), tables=[trusts], checkfirst=True)
