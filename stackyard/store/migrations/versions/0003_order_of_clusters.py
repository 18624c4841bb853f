# SPDX-License-Identifier: Apache-2.0
"""An index in the order in which clusters are listed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

clusters = sa.Table(
    "clusters",
    sa.MetaData(),
    sa.Column("id", sa.String(36)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("created_at", sa.String(40)),
)
index = sa.Index("ix_clusters_project_id_created_at", clusters.c.project_id, clusters.c.created_at, clusters.c.id)


def upgrade() -> None:
    """Create the index unless it is there: not every database can take back half a revision."""
    index.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    """Drop the index."""
    index.drop(op.get_bind(), checkfirst=True)
