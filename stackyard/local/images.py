# SPDX-License-Identifier: Apache-2.0
"""Our own images: recipes in the folder `images`, built on this machine's Engine and cached by recipe digest.

Called by `stackyard up` and `stackyard images`. A recipe is a folder with a Dockerfile whose FROM is another
recipe; only bases are made otherwise (see `stackyard.local.base_image`). A tag appears when its image is whole.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import functools
import graphlib
import hashlib
import io
import os
import pathlib
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import docker
import docker.errors

from stackyard.drivers.engines.failures import plainly
from stackyard.local import base_image
from stackyard.local.apt_route import AptRoute
from stackyard.model import errors

Progress = Callable[[str, str], None]
"""Takes an image's name and a line on what is going on with it."""

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "images"
PREFIX = "stackyard"
LATEST = "latest"
"""The tag of the recipe that was asked for last; machines are made of this one."""
BASE = "base"
RECIPE_LABEL = "stackyard.recipe"
AT_ONCE = 3
FROM = re.compile(rf"^FROM {PREFIX}/([a-z0-9-]+)[ \t]*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one image is made: `digest` covers its files and those of all its parents."""

    name: str
    folder: pathlib.Path
    parent: Recipe | None
    digest: str

    @property
    def reference(self) -> str:
        """Return the image's name and tag."""
        return f"{self.repository}:{self.digest[:12]}"

    @property
    def repository(self) -> str:
        """Return the image's name without a tag."""
        return f"{PREFIX}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Image:
    """One of our images on the Engine; `current` tells whether its recipe is still this one. `size` in bytes."""

    name: str
    reference: str
    id: str
    size: int
    created: float
    current: bool


def recipes(folder: pathlib.Path = FOLDER) -> dict[str, Recipe]:
    """Return all recipes by name; raises Unavailable when the folder is missing or wrong."""
    if not (folder / BASE).is_dir():
        raise errors.Unavailable(f"the image recipes are missing: {folder} should hold them; install from a checkout")
    names = sorted(path.parent.name for path in folder.glob("*/Dockerfile"))
    found: dict[str, Recipe] = {}
    parents = {name: _parent(folder / name) for name in names}
    for name in graphlib.TopologicalSorter({name: [p] if p else [] for name, p in parents.items()}).static_order():
        if name not in parents:
            raise errors.Unavailable(f"an image in {folder} is FROM {PREFIX}/{name}, for which there is no recipe")
        parent = found[parents[name] or BASE] if parents[name] else None
        found[name] = Recipe(name, folder / name, parent, _digest(folder / name, parent))
    return found


def build(
    client: docker.DockerClient, names: Iterable[str] | None, on_progress: Progress, folder: pathlib.Path = FOLDER
) -> dict[str, str]:
    """Make the named images (None: all) where they are missing; return their references by name.

    Raises NotFound for a name without a recipe, Unavailable with the log's end when a build fails.
    """
    known = recipes(folder)
    wanted = list(known) if names is None else list(names)
    if unknown := sorted(set(wanted) - set(known)):
        raise errors.NotFound(f"no recipe for {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    with plainly("looking for images"):
        there = {tag for image in client.api.images() for tag in image["RepoTags"] or []}
    missing = {recipe.name: recipe for name in wanted for recipe in _missing(known[name], there)}
    with AptRoute(client) as route:
        _build_all(functools.partial(_build_one, client, route, on_progress), missing)
    with plainly("naming images"):
        for recipe in (known[name] for name in wanted):
            client.api.tag(recipe.reference, recipe.repository, LATEST)
    return {name: known[name].reference for name in wanted}


def list_images(client: docker.DockerClient) -> list[Image]:
    """Return our images on the Engine, by name, newest first."""
    current = {recipe.reference for recipe in recipes().values()}
    with plainly("listing images"):
        found = client.api.images(filters={"reference": f"{PREFIX}/*"})
    tags = [(entry, tag) for entry in found for tag in entry["RepoTags"] or [] if _is_ours(tag)]
    images = [_image(entry, tag, tag in current) for entry, tag in tags]
    return sorted(images, key=lambda image: (image.name, -image.created))


def packages(client: docker.DockerClient, name: str) -> dict[str, str]:
    """Return the versions of the Debian packages in the newest image of a recipe, by name; raises NotFound."""
    found = next((image for image in list_images(client) if image.name == name), None)
    if found is None:
        raise errors.NotFound(f"there is no image {name} yet: make it with: {PREFIX} images build {name}")
    with plainly(f"listing packages of {name}"):
        listed = client.containers.run(
            found.id,
            ["-W", "-f", "${Package} ${Version}\\n"],
            entrypoint="dpkg-query",
            remove=True,
            network_mode="none",
        )
    return dict(line.split(" ", 1) for line in listed.decode().splitlines())


def _is_ours(tag: str) -> bool:
    return tag.startswith(f"{PREFIX}/") and not tag.endswith(f":{LATEST}")


def _image(entry: dict[str, Any], tag: str, current: bool) -> Image:
    name = tag.removeprefix(f"{PREFIX}/").partition(":")[0]
    return Image(name, tag, entry["Id"], entry["Size"], float(entry["Created"]), current)


def _parent(folder: pathlib.Path) -> str | None:
    found = FROM.search((folder / "Dockerfile").read_text())
    return found[1] if found else None


def _files(folder: pathlib.Path) -> Sequence[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _digest(folder: pathlib.Path, parent: Recipe | None) -> str:
    digest = hashlib.sha256((parent.digest if parent else "").encode())
    for path in _files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def _missing(recipe: Recipe, there: set[str]) -> list[Recipe]:
    """Return the recipe and those of its parents that must be built for it, parents first."""
    if recipe.reference in there:
        return []
    return [*(_missing(recipe.parent, there) if recipe.parent else []), recipe]


def _build_all(make: Callable[[Recipe], None], missing: dict[str, Recipe]) -> None:
    """Build parents before children, and what is independent at the same time; the first failure is raised."""
    order = graphlib.TopologicalSorter(
        {name: [r.parent.name] if r.parent and r.parent.name in missing else [] for name, r in missing.items()}
    )
    order.prepare()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running: dict[concurrent.futures.Future[None], str] = {}
        while order.is_active():
            for name in order.get_ready():
                running[pool.submit(make, missing[name])] = name
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                _raise_first(future, running)
                order.done(name)


def _raise_first(future: concurrent.futures.Future[None], others: Iterable[concurrent.futures.Future[None]]) -> None:
    if error := future.exception():
        for other in others:
            other.cancel()
        raise error


def _build_one(client: docker.DockerClient, route: AptRoute, on_progress: Progress, recipe: Recipe) -> None:
    started = time.monotonic()
    say = functools.partial(on_progress, recipe.name)
    with _alone(recipe, say), plainly(f"building image {recipe.name}"):
        if _made_meanwhile(client, recipe):
            say("made by another process")
            return
        say("building")
        script = recipe.folder / "mmdebstrap.sh"
        if script.exists() and not base_image.pulled(client, recipe.folder / "Dockerfile", say):
            route.run(lambda proxy: base_image.bootstrap(client, script, recipe.reference, say, proxy), say)
        else:
            route.run(lambda proxy: _build_dockerfile(client, recipe, say, proxy), say)
    say(f"done in {time.monotonic() - started:.1f} s")


@contextlib.contextmanager
def _alone(recipe: Recipe, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a recipe's lock on this machine: two that make the same at once would both take twice as long, or fail."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"stackyard-images-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / f"{recipe.name}-{recipe.digest[:12]}.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that makes it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _made_meanwhile(client: docker.DockerClient, recipe: Recipe) -> bool:
    try:
        client.api.inspect_image(recipe.reference)  # type: ignore[no-untyped-call]
    except docker.errors.ImageNotFound:
        return False
    return True


def _build_dockerfile(
    client: docker.DockerClient, recipe: Recipe, say: Callable[[str], None], proxy: str | None
) -> None:
    tail: collections.deque[str] = collections.deque(maxlen=20)
    answers = client.api.build(
        fileobj=io.BytesIO(_context(recipe)),
        custom_context=True,
        encoding="identity",
        tag=recipe.reference,
        labels={RECIPE_LABEL: recipe.name},
        # Of all build arguments this one leaves no trace in the image, neither in its history.
        buildargs={"http_proxy": proxy} if proxy else {},
        rm=True,
        forcerm=True,
        decode=True,
    )
    for answer in answers:
        for line in str(answer.get("stream", "")).splitlines():
            tail.append(line)
            if line.startswith("Step "):
                say(line)
        if "error" in answer:
            raise base_image.failure(client, recipe.name, str(answer["error"]), tail)


def _context(recipe: Recipe) -> bytes:
    """Return the recipe's folder as a tar, its Dockerfile naming the parent by the tag of this very recipe."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in _files(recipe.folder):
            data = path.read_bytes()
            if path.name == "Dockerfile" and recipe.parent:
                data = FROM.sub(f"FROM {recipe.parent.reference}", data.decode()).encode()
            # Owner, mode and time are ours, so that the Engine's cache knows a file again.
            entry = tarfile.TarInfo(str(path.relative_to(recipe.folder)))
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
