# SPDX-License-Identifier: Apache-2.0
"""The first schema."""

from alembic import op

from stackyard.store import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables (the second revision freezes them here; until a release they may change)."""
    tables.metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drop all tables."""
    tables.metadata.drop_all(op.get_bind())
