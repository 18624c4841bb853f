# SPDX-License-Identifier: Apache-2.0
"""The schema: made by revisions, and the same as the tables that the code knows."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from stackyard.model.applications import PRODUCTION
from stackyard.model.clusters import ClusterTemplate
from stackyard.model.phase import Phase
from stackyard.store import Store, database, tables


def configured(url: str) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(pathlib.Path(database.__file__).parent / "migrations"))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str) -> None:
    alembic.command.upgrade(configured(url), revision)


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


SCHEDULED = {
    "project_id": "p",
    "phase": "ready",
    "generation": 3,
    "observed_generation": 3,
    "created_at": "2026-01-02T03:04:05.000000+00:00",
    "due": 0.0,
}


def put(store: Store, table: str, **values: Any) -> None:
    """Write a row as a version of before wrote it."""
    told = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()}
    names = ", ".join(told)
    with store.engine.execution_options(**{database.WRITE: True}).begin() as connection:
        statement = f"insert into {table} ({names}) values ({', '.join(f':{name}' for name in told)})"
        connection.execute(sa.text(statement), told)


def before_environments(tmp_path: pathlib.Path) -> Store:
    """Return a database of revision 0004 with one application that serves, one that has only been made, one to go."""
    store = Store(f"sqlite:///{tmp_path}/stackyard.db")
    upgrade(store.url, "0004")
    wishes = {"description": "d", "config": "sealed", "scale": {"web": 3}, "cluster_id": "c1", "project_name": "demo"}
    put(store, "applications", id="serving", name="shop", intent=wishes, observed={"extra": {}}, **SCHEDULED)
    put(store, "applications", id="new", name="new", intent=wishes | {"config": None}, observed={}, **SCHEDULED)
    going = SCHEDULED | {"phase": "deleting"}
    put(store, "applications", id="going", name="going", intent=wishes, observed={}, **going)
    place = {"app_id": "serving", "cluster_id": "c1", "environment": "production"}
    seen = {"serving": 7, "pins": {"db": "n1"}, "switched_at": 1.5}
    put(store, "deployments", id="d", name="shop", intent={"release": 7}, observed=seen, **place, **SCHEDULED)
    release = {"spec": {"services": [], "volumes": [], "notes": []}, "config": "sealed", "summary": "push 7"}
    row = {"project_id": "p", "app_id": "serving", "number": 7, "created_at": SCHEDULED["created_at"]}
    put(store, "releases", id="r", body=release, **row)
    source = {"source": {"repository": "", "revision": "", "digest": "0"}}
    put(store, "builds", id="b", name="shop-7", app_id="serving", number=7, intent=source, observed={}, **SCHEDULED)
    return store


def moved(store: Store) -> None:
    """Check that everything is where it is now, and nowhere else."""
    with store.reading() as tx:
        kept = tx.deployments.of("serving")
        assert kept is not None
        assert (kept.id, kept.release, kept.serving, kept.pins) == ("d", 7, 7, {"db": "n1"})
        assert (kept.config, kept.scale, kept.cluster_id, kept.secret_keys) == ("sealed", {"web": 3}, "c1", ())
        assert kept.workload_id == "serving"
        made = tx.deployments.of("new")
        assert made is not None
        assert (made.release, made.serving, made.phase, made.cluster_id) == (0, 0, Phase.READY, "c1")
        assert (made.config, made.scale, made.name) == (None, {"web": 3}, "new")
        assert tx.deployments.of("going") is None
        assert tx.applications.get("serving").description == "d"
        assert tx.releases.number("serving", 7).environment == PRODUCTION
        assert tx.builds.number("serving", 7).environment == PRODUCTION
        rest = " ".join(row.intent for row in tx.connection.execute(sa.text("select intent from applications")))
    assert "sealed" not in rest
    assert "scale" not in rest


def test_what_belongs_to_an_environment_moves_from_the_application_to_its_deployment(tmp_path: pathlib.Path) -> None:
    store = before_environments(tmp_path)
    store.migrate()
    moved(store)
    store.engine.dispose()


@pytest.mark.parametrize("done", ["columns", "first", "written", "all"])
def test_a_move_that_was_cut_short_goes_on(tmp_path: pathlib.Path, done: str) -> None:
    """Where a database can't take back half a revision, a kill leaves one of these."""
    store = before_environments(tmp_path)
    with store.transaction() as tx:
        run = tx.connection.exec_driver_sql
        old = run("select id, intent from applications").all()
        run("alter table builds add column environment varchar(63) not null default 'production'")
        if done == "columns":
            run("alter table releases add column environment varchar(63) not null default 'production'")
    if done in ("written", "all"):
        store.migrate()
        with store.transaction() as tx:
            tx.connection.exec_driver_sql("update alembic_version set version_num = '0004'")
            if done == "written":  # ... and the application's own half not yet forgotten
                for ident, intent in old:
                    values = {"id": ident, "intent": intent}
                    tx.connection.execute(sa.text("update applications set intent = :intent where id = :id"), values)
    store.migrate()
    moved(store)
    store.migrate()
    moved(store)
    store.engine.dispose()


def test_going_back_gives_the_application_its_wishes_again(tmp_path: pathlib.Path) -> None:
    store = before_environments(tmp_path)
    store.migrate()
    alembic.command.downgrade(configured(store.url), "0004")
    with store.reading() as tx:
        row = tx.connection.execute(sa.text("select intent from applications where id = 'serving'")).scalar_one()
    intent = json.loads(row)
    assert (intent["config"], intent["scale"], intent["cluster_id"]) == ("sealed", {"web": 3}, "c1")
    store.migrate()
    moved(store)
    store.engine.dispose()
