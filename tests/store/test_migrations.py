# SPDX-License-Identifier: Apache-2.0
"""The schema: made by revisions, and the same as the tables that the code knows."""

from __future__ import annotations

import pathlib

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from stackyard.model.clusters import ClusterTemplate
from stackyard.store import Store, database, tables


def upgrade(url: str, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(pathlib.Path(database.__file__).parent / "migrations"))
    config.attributes["url"] = url
    alembic.command.upgrade(config, revision)


def names(store: Store) -> set[str]:
    return set(sa.inspect(store.engine).get_table_names())


def test_the_revisions_make_what_the_code_knows(store: Store) -> None:
    """Fails for a change of `tables` that no revision makes: write one."""
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": False})
        assert compare_metadata(context, tables.metadata) == []


def test_a_database_of_the_first_revision_gets_what_came_later_and_keeps_what_it_has(tmp_path: pathlib.Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/stackyard.db")
    upgrade(store.url, "0001")
    assert "services" not in names(store)
    with store.transaction() as tx:
        kept = tx.templates.insert(ClusterTemplate(project_id="p", user_id="u", name="t", coe="swarm", image_id="node"))
    store.migrate()
    with store.transaction() as tx:
        tx.services.beat("here")
        assert [service.report_count for service in tx.services.list()] == [1]
        assert tx.templates.get(kept.id) == kept
    store.engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_revision_that_was_cut_short_is_done_again(tmp_path: pathlib.Path, revision: str) -> None:
    store = Store(f"sqlite:///{tmp_path}/stackyard.db")
    upgrade(store.url, revision)
    with store.transaction() as tx:  # as a kill leaves it where tables can't be taken back: made, not noted
        tx.connection.execute(sa.text("delete from alembic_version"))
        if revision != "0001":
            tx.connection.execute(sa.text("insert into alembic_version values ('0001')"))
    store.migrate()
    store.migrate()
    assert {table.name for table in tables.metadata.sorted_tables} < names(store)
    store.engine.dispose()
