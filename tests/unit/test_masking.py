# SPDX-License-Identifier: Apache-2.0
"""Secret values are taken out of text whole, also where they overlap, span lines, or come in pieces."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.intents.deployments import empty
from stackyard.model.applications import Application
from stackyard.model.builds import Build, Source
from stackyard.model.masking import StreamMask, mask, parts
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


SECRETS = ["open-sesame", "sesam-street", "-----BEGIN\nMIIB\n", "é è à", "x"]


@given(
    st.lists(st.sampled_from(["open-", "sesame", "sesam-", "street", " MI", "IB", "s", "é è à", "plain", "\r\n"])),
    st.data(),
)
def test_a_stream_is_masked_however_it_is_cut(words: list[str], data: st.DataObject) -> None:
    text = "".join(words).encode()
    mask_of = StreamMask(SECRETS)
    told, left = b"", text
    while left:
        size = data.draw(st.integers(1, len(left)))
        told += mask_of.feed(left[:size])
        left = left[size:]
    told += mask_of.flush()
    assert not mask_of.holds
    for part in parts(SECRETS):
        assert part.encode() not in told
    if not any(part.encode() in text for part in parts(SECRETS)):
        assert told == text


def test_only_what_may_be_a_secret_is_held() -> None:
    mask_of = StreamMask(["open-sesame"])
    assert (mask_of.feed(b"$ "), mask_of.holds) == (b"$ ", False)
    assert (mask_of.feed(b"op"), mask_of.holds) == (b"", True)
    assert mask_of.feed(b"tion") == b"option"
    assert mask_of.feed(b"the o") == b"the "
    assert mask_of.feed(b"pen-sesame!") == b"****!"
    assert StreamMask(["abc"]).feed(b"abc") == b"abc", "short values are not masked anywhere"


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
