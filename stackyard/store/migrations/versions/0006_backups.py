# SPDX-License-Identifier: Apache-2.0
"""Backups of services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

tables = sa.MetaData()
applications = sa.Table("applications", tables, sa.Column("id", sa.String(36), primary_key=True))

backups = sa.Table(
    "backups",
    tables,
    sa.Column("id", sa.String(36), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
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
    sa.Column("environment", sa.String(63), nullable=False),
    sa.Column("service", sa.String(63), nullable=False),
    sa.Column("moved", sa.BigInteger, nullable=False, server_default="0"),
    sa.PrimaryKeyConstraint("id", name="pk_backups"),
    sa.UniqueConstraint("app_id", "number", name="uq_backups_app_id"),
    sa.ForeignKeyConstraint(["app_id"], ["applications.id"], ondelete="CASCADE"),
    *(sa.Index(f"ix_backups_{name}", name) for name in ("project_id", "name", "due", "app_id")),
)


def upgrade() -> None:
    """Create the table unless it is there: not every database can take back half a revision."""
    tables.create_all(op.get_bind(), tables=[backups], checkfirst=True)


def downgrade() -> None:
    """Drop the table."""
    tables.drop_all(op.get_bind(), tables=[backups], checkfirst=True)
