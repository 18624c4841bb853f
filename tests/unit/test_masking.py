# SPDX-License-Identifier: Apache-2.0
"""Secret values are taken out of text whole, also where they overlap, span lines, or come in pieces."""

from __future__ import annotations

import pathlib

import pytest

from stackyard.intents.deployments import empty
from stackyard.model.applications import Application
from stackyard.model.builds import Build, Source
from stackyard.model.masking import mask
from stackyard.store import Store
from stackyard.worker.logs import BuildLog


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        ("url=postgres://u:open-sesame@db", ["open-sesame"], "url=postgres://u:****@db"),
        ("open-sesame open-sesame", ["open-sesame"], "**** ****"),
        ("open-sesame", ["open", "open-sesame"], "****"),
        ("on port 80, key abc", ["80", "abc", ""], "on port 80, key abc"),
        ("line MIIB of a key", ["-----BEGIN\nMIIB\n\n-----END\n"], "line **** of a key"),
        ("nothing here", ["open-sesame"], "nothing here"),
    ],
)
def test_values_are_masked(text: str, values: list[str], told: str) -> None:
    assert mask(text, values) == told


@pytest.fixture
def build(tmp_path: pathlib.Path) -> tuple[Store, Build]:
    store = Store(f"sqlite:///{tmp_path}/db")
    store.migrate()
    with store.transaction() as tx:
        app = tx.applications.insert(Application(project_id="p", name="shop"))
        tx.deployments.insert(empty(app, "c"))
        made = tx.builds.insert(Build(project_id="p", name="shop-1", app_id=app.id, number=1, source=Source()))
    return store, made


def text_of(store: Store, build: Build) -> str:
    with store.reading() as tx:
        return "".join(text for _, text in tx.builds.log(build.id))


def test_a_value_that_comes_in_pieces_is_masked_in_a_builds_log(build: tuple[Store, Build]) -> None:
    store, made = build
    with BuildLog(store, made.id, ["open-sesame"]) as log:
        for piece in ("key is op", "en-ses", "ame\nand the last open-", "sesame"):
            log(piece)
            log.flush()
            assert "sesame" not in text_of(store, made)
    assert text_of(store, made) == "key is ****\nand the last ****"
    store.engine.dispose()


def test_a_log_without_secrets_is_not_held_back(build: tuple[Store, Build]) -> None:
    store, made = build
    with BuildLog(store, made.id) as log:
        log("half a li")
        log.flush()
        assert text_of(store, made) == "half a li"
    store.engine.dispose()


def test_a_line_without_end_is_not_waited_for(build: tuple[Store, Build]) -> None:
    store, made = build
    with BuildLog(store, made.id, ["open-sesame"]) as log:
        log("x" * 100_000)
        log.flush()
        assert len(text_of(store, made)) == 100_000
    store.engine.dispose()
