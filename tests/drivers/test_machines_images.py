# SPDX-License-Identifier: Apache-2.0
"""Building images on a real Engine: cached, killed in the middle, failed, and the disk full."""

from __future__ import annotations

import pathlib
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import docker
import docker.errors
import pytest

from stackyard.local import contents, images
from stackyard.model import errors

pytestmark = pytest.mark.engine
SCRIPT = """
import docker, pathlib, sys
from stackyard.local import images
images.build(docker.from_env(), [sys.argv[1]], lambda name, line: print(line, flush=True), pathlib.Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env(timeout=120)
    yield made
    made.close()


class Recipe:
    """A recipe on the real base, under a name of its own."""

    def __init__(self, client: docker.DockerClient, folder: pathlib.Path) -> None:
        self.client, self.folder, self.name = client, folder, f"sytest-{uuid.uuid4().hex[:8]}"
        shutil.copytree(images.FOLDER / "base", folder / "base")
        (folder / self.name).mkdir()
        self.lines: list[tuple[str, str]] = []

    def build(self, run: str) -> str:
        self.write(run)
        return images.build(self.client, [self.name], lambda *line: self.lines.append(line), self.folder)[self.name]

    def write(self, run: str) -> None:
        (self.folder / self.name / "Dockerfile").write_text(f"FROM stackyard/base\nRUN {run}\n")

    def in_stages(self, run: str) -> str:
        """Build with an early stage that gets the host's settings."""
        text = (
            f"FROM stackyard/base AS build\nLABEL {images.PASSING_LABEL}={self.name}\nCOPY host/ /host/\nRUN {run}\n"
            "FROM stackyard/base\nCOPY --from=build /made /made\n"
        )
        (self.folder / self.name / "Dockerfile").write_text(text)
        return images.build(self.client, [self.name], lambda *line: self.lines.append(line), self.folder)[self.name]

    def passing(self) -> list[str]:
        """Return ids of what is left of early stages, intermediate images too."""
        filters = {"label": f"{images.PASSING_LABEL}={self.name}"}
        return [each["Id"] for each in self.client.api.images(all=True, filters=filters)]

    def tags(self) -> list[str]:
        found = self.client.images.list(f"stackyard/{self.name}")
        return sorted(tag for image in found for tag in image.tags)


@pytest.fixture
def recipe(client: docker.DockerClient, tmp_path: pathlib.Path) -> Iterator[Recipe]:
    made = Recipe(client, tmp_path)
    yield made
    for tag in made.tags():
        client.images.remove(tag, force=True)


def test_second_build_does_nothing(recipe: Recipe) -> None:
    reference = recipe.build("echo one > /one")
    assert recipe.tags() == sorted([reference, f"stackyard/{recipe.name}:latest"])
    assert ("building" in [line for name, line in recipe.lines if name == recipe.name]) is True
    recipe.lines.clear()
    assert recipe.build("echo one > /one") == reference
    assert recipe.lines == []


def test_latest_follows_the_recipe_asked_for(recipe: Recipe) -> None:
    first = recipe.build("echo one > /one")
    recipe.build("echo two > /two")
    assert recipe.build("echo one > /one") == first
    latest = recipe.client.images.get(f"stackyard/{recipe.name}:latest")
    assert latest.id == recipe.client.images.get(first).id


def test_failure_shows_the_end_of_the_log(recipe: Recipe) -> None:
    with pytest.raises(errors.Unavailable, match="the reason of it") as caught:
        recipe.build("echo the reason of it; exit 3")
    assert recipe.name in str(caught.value)
    assert recipe.tags() == []


def test_full_disk_is_said_plainly(recipe: Recipe) -> None:
    with pytest.raises(errors.Unavailable, match=r"no space is left on the disk of /.*free some"):
        recipe.build("echo 'write error: No space left on device' >&2; exit 1")


def test_unknown_name_is_refused(client: docker.DockerClient) -> None:
    with pytest.raises(errors.NotFound, match="haproxy"):
        images.build(client, ["nothing"], lambda name, line: None)


def test_killed_build_leaves_no_image_and_can_be_repeated(recipe: Recipe) -> None:
    slow = f"touch /{recipe.name}; sleep 4"  # a step that no run before, however it ended, has left to the cache
    recipe.write(slow)
    command = [sys.executable, "-c", SCRIPT, recipe.name, str(recipe.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("Step 2") for line in process.stdout)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
    assert recipe.tags() == []
    reference = recipe.build(slow)
    assert reference in recipe.tags()


def test_nothing_is_left_of_a_stage_that_knew_the_hosts_settings(recipe: Recipe) -> None:
    with pytest.raises(errors.Unavailable, match="returned a non-zero code: 3"):
        recipe.in_stages("test -s /host/exports.sh && . /host/exports.sh && test -s $PIP_CONFIG_FILE && exit 3")
    assert recipe.passing() == []
    reference = recipe.in_stages("cp /host/exports.sh /made")
    assert recipe.passing() == []
    found = recipe.client.containers.run(reference, ["sh", "-c", "ls -d /host /made; true"], remove=True, stderr=True)
    assert b"/made" in found
    assert b"'/host': No such file" in found


def test_packages_are_read_from_an_image_that_does_not_run(recipe: Recipe, tmp_path: pathlib.Path) -> None:
    reference = recipe.build("mkdir /venv && echo keystone==27.1.0 > /venv/packages.txt")
    digest = images.find(recipe.client, recipe.name)
    assert digest == recipe.client.images.get(reference).id == images.find(recipe.client, reference)
    found = contents.packages(recipe.client, digest, tmp_path)
    assert found["pypi:keystone"] == "27.1.0"
    assert {"tini", "ca-certificates", "libc6"} <= found.keys()
    assert recipe.client.containers.list(all=True, filters={"ancestor": reference}) == []
    recipe.client.images.remove(reference, force=True)
    assert contents.packages(recipe.client, digest, tmp_path) == found
    with pytest.raises(errors.NotFound, match="no image"):
        contents.packages(recipe.client, "sha256:" + "0" * 64, tmp_path)
