# SPDX-License-Identifier: Apache-2.0
"""A password in a git URL is nowhere in the database in clear, and the worker still gets it."""

from __future__ import annotations

import pathlib
import sqlite3

from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.intents import Intents, Rules
from stackyard.intents.deployments import empty
from stackyard.model.applications import Application
from stackyard.model.builds import Source
from stackyard.model.records import Caller
from stackyard.store import Store


def test_a_password_in_a_git_url_is_sealed(tmp_path: pathlib.Path) -> None:
    ensure_key(tmp_path / "key")
    secrets = FernetSecrets(tmp_path / "key")
    store = Store(f"sqlite:///{tmp_path}/db")
    store.migrate()
    with store.transaction() as tx:
        app = tx.applications.insert(Application(project_id="p", name="shop"))
        tx.deployments.insert(empty(app, "c"))
    url = "https://ann:open-sesame@example.org/shop.git"
    build = Intents.of(store, secrets, Rules()).builds.push(Caller("u", "p"), "shop", Source(repository=url))
    assert build.source.repository == "https://***@example.org/shop.git"
    assert secrets.open(build.source.sealed) == url
    store.engine.dispose()
    dump = "\n".join(sqlite3.connect(tmp_path / "db").iterdump())
    assert "example.org" in dump
    assert "open-sesame" not in dump
