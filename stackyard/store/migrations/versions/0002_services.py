# SPDX-License-Identifier: Apache-2.0
"""The heartbeats of workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

services = sa.Table(
    "services",
    sa.MetaData(),
    sa.Column("id", sa.Integer),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("binary", sa.String(64), nullable=False),
    sa.Column("report_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40)),
    sa.PrimaryKeyConstraint("id", name="pk_services"),
    sa.UniqueConstraint("host", "binary", name="uq_services_host"),
)


def upgrade() -> None:
    """Create the table unless it is there: not every database can take back half a revision."""
    services.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    """Drop the table."""
    services.drop(op.get_bind(), checkfirst=True)
