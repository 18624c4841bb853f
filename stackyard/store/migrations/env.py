# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs migrations on the URL that `stackyard.store.database.migrate` gives."""

from alembic import context

from stackyard.store import database, tables

engine = database.create_engine(context.config.attributes["url"], 1)
with engine.connect().execution_options(**{database.WRITE: True}) as connection:
    context.configure(connection=connection, target_metadata=tables.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
