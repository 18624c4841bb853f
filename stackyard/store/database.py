# SPDX-License-Identifier: Apache-2.0
"""The database engine: SQLite on one machine, MariaDB or PostgreSQL beyond; all quirks of theirs are here."""

from __future__ import annotations

import pathlib
import sqlite3
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql, sqlite

WRITE = "stackyard_write"


def create_engine(url: str, pool_size: int) -> sa.Engine:
    """Return an engine whose transactions see committed data and whose writers wait rather than fail."""
    if sa.make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, pool_size)
    return sa.create_engine(
        url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, isolation_level="READ COMMITTED"
    )


def _sqlite(url: str, pool_size: int) -> sa.Engine:
    engine = sa.create_engine(
        url, connect_args={"timeout": 60, "check_same_thread": False}, pool_size=pool_size, max_overflow=pool_size
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below: the driver's own comes too late to lock
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A writer takes the lock at once: two readers that both turn writers would fail with "locked".
        write = connection.get_execution_options().get(WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def migrate(url: str) -> None:
    """Bring the schema to the newest revision (alembic); safe to call when it is there already."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    alembic.command.upgrade(config, "head")


def insert_if_absent(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> None:
    """Insert a row unless its unique key is there; takes the row's lock, so that two at once don't deadlock."""
    name = connection.dialect.name
    if name in {"mysql", "mariadb"}:
        upsert = mysql.insert(table).values(values)
        connection.execute(upsert.on_duplicate_key_update(id=table.c.id))
    else:
        dialect = postgresql if name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).values(values).on_conflict_do_nothing())
