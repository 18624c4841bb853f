# SPDX-License-Identifier: Apache-2.0
"""Recipes of images: what their digests cover, whom they stand on, what is said when they are wrong."""

from __future__ import annotations

import io
import pathlib
import shutil
import tarfile

import pytest

from stackyard.local import images, recipes
from stackyard.model import errors


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name, text in (("base", "FROM debian:bookworm-slim\n"), ("app", "# why\nFROM stackyard/base\nRUN true\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(text)
    (tmp_path / "child").mkdir()
    (tmp_path / "child" / "Dockerfile").write_text("FROM stackyard/app\nCOPY entry.sh /\n")
    (tmp_path / "child" / "entry.sh").write_text("echo one\n")
    return tmp_path


def test_every_recipe_of_ours_stands_on_a_base() -> None:
    known = images.recipes()
    assert {"base", "node", "haproxy", "registry", "python", "redis"} <= set(known)
    for recipe in known.values():
        while recipe.parent:
            recipe = recipe.parent  # noqa: PLW2901  (walks up)
        assert recipe.name in {"base", "base-trixie"}


def test_tag_is_the_beginning_of_the_digest(folder: pathlib.Path) -> None:
    recipe = images.recipes(folder)["child"]
    assert recipe.reference == f"stackyard/child:{recipe.digest[:12]}"
    assert recipe.parent is not None
    assert recipe.parent.name == "app"


def test_same_files_same_digest(folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "images"
    shutil.copytree(folder, copy)
    assert {n: r.digest for n, r in images.recipes(copy).items()} == {
        n: r.digest for n, r in images.recipes(folder).items()
    }


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ("child/entry.sh", {"child"}),
        ("app/Dockerfile", {"app", "child"}),
        ("base/Dockerfile", {"base", "app", "child"}),
    ],
)
def test_digest_covers_files_and_parents(folder: pathlib.Path, changed: str, differing: set[str]) -> None:
    before = images.recipes(folder)
    path = folder / changed
    path.write_text(path.read_text() + "\n# changed\n")
    after = images.recipes(folder)
    assert {name for name in before if before[name].digest != after[name].digest} == differing


def test_renamed_file_is_another_recipe(folder: pathlib.Path) -> None:
    before = images.recipes(folder)["child"].digest
    (folder / "child" / "entry.sh").rename(folder / "child" / "start.sh")
    assert images.recipes(folder)["child"].digest != before


def test_context_names_the_parent_by_its_tag(folder: pathlib.Path) -> None:
    recipe = images.recipes(folder)["app"]
    with tarfile.open(fileobj=io.BytesIO(recipes.context(recipe))) as tar:
        text = tar.extractfile("Dockerfile").read().decode()  # type: ignore[union-attr]
    assert recipe.parent is not None
    assert f"FROM {recipe.parent.reference}\n" in text
    assert recipes.context(recipe) == recipes.context(recipe)


def test_stages_are_named_by_the_same_tag_and_host_settings_are_no_part_of_the_digest(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "FROM stackyard/base AS build\nCOPY host/ /host/\nFROM stackyard/base\nCOPY --from=build /a /a\n"
    (folder / "app" / "Dockerfile").write_text(text)
    found = {}
    for retries in ("3", "4"):
        monkeypatch.setenv("PIP_RETRIES", retries)
        recipe = images.recipes(folder)["app"]
        with tarfile.open(fileobj=io.BytesIO(recipes.context(recipe))) as tar:
            found[recipe.digest, retries] = {name: tar.extractfile(name).read().decode() for name in tar.getnames()}  # type: ignore[union-attr]
    assert len({digest for digest, _ in found}) == 1
    base = images.recipes(folder)["base"].reference
    for (_, retries), files in found.items():
        assert files["Dockerfile"].count(f"FROM {base}") == 2
        assert f"FROM {base} AS build\n" in files["Dockerfile"]
        assert f"retries = {retries}" in files["host/pip.conf"]
        assert "export PIP_CONFIG_FILE=/host/pip.conf" in files["host/exports.sh"]


def test_stages_on_two_images_of_ours_are_refused(folder: pathlib.Path) -> None:
    (folder / "child" / "Dockerfile").write_text("FROM stackyard/app AS build\nFROM stackyard/base\n")
    with pytest.raises(errors.Unavailable, match="child is FROM several"):
        images.recipes(folder)


def test_a_recipe_from_source_is_found_by_its_release(folder: pathlib.Path) -> None:
    (folder / "app-source").mkdir()
    (folder / "app-source" / "requirements-2.1.txt").write_text("app==2.1.3\n")
    assert recipes.from_source("app", "2.1", folder) == "app-source"
    with pytest.raises(errors.NotFound, match=r"app 3\.0 from source: there is 2\.1"):
        recipes.from_source("app", "3.0", folder)
    with pytest.raises(errors.NotFound, match="Debian packages only"):
        recipes.from_source("child", "2.1", folder)


def test_missing_folder_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable, match=str(tmp_path)):
        images.recipes(tmp_path / "images")


def test_parent_without_recipe_is_said(folder: pathlib.Path) -> None:
    (folder / "app" / "Dockerfile").write_text("FROM stackyard/nothing\n")
    with pytest.raises(errors.Unavailable, match="stackyard/nothing"):
        images.recipes(folder)


def test_only_what_is_missing_is_built(folder: pathlib.Path) -> None:
    known = images.recipes(folder)
    names = [recipe.name for recipe in images._missing(known["child"], {known["base"].reference})]
    assert names == ["app", "child"]
    assert images._missing(known["child"], {known["child"].reference}) == []


def test_failure_stops_what_was_not_begun(folder: pathlib.Path) -> None:
    made = []

    def make(recipe: images.Recipe) -> None:
        made.append(recipe.name)
        if recipe.name == "app":
            raise errors.Unavailable("app failed")

    with pytest.raises(errors.Unavailable, match="app failed"):
        images._build_all(make, images.recipes(folder))
    assert made == ["base", "app"]
