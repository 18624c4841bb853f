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
import io
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import docker
import docker.errors

from stackyard.drivers.engines.failures import plainly
from stackyard.local import base_image
from stackyard.local.apt_route import AptRoute
from stackyard.local.recipes import FOLDER, PREFIX, Recipe, context, recipes
from stackyard.model import errors

Progress = Callable[[str, str], None]
"""Takes an image's name and a line on what is going on with it."""

LATEST = "latest"
"""The tag of the recipe that was asked for last; machines are made of this one."""
RECIPE_LABEL = "stackyard.recipe"
AT_ONCE = 3
PASSING_LABEL = "stackyard.passing"
"""Recipes give it to early stages, with their own name: what these hold is removed as soon as the image is made."""


@dataclasses.dataclass(frozen=True)
class Image:
    """One of our images on the Engine; `current` tells whether its recipe is still this one. `size` in bytes."""

    name: str
    reference: str
    id: str
    size: int
    created: float
    current: bool


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


def find(client: docker.DockerClient, name: str) -> str:
    """Return the digest of an image by recipe (its newest), by name and tag, or by digest; raises NotFound."""
    newest = next((image.id for image in list_images(client) if image.name == name), None)
    if newest:
        return newest
    try:
        with plainly(f"looking for image {name}"):
            return str(client.api.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]
    except errors.GiveUp:
        raise errors.NotFound(f"there is no image {name}: make it with: {PREFIX} images build {name}") from None


def work_folder() -> pathlib.Path:
    """Return the folder of locks, and of what else is known of images on this machine."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"stackyard-images-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _is_ours(tag: str) -> bool:
    return tag.startswith(f"{PREFIX}/") and not tag.endswith(f":{LATEST}")


def _image(entry: dict[str, Any], tag: str, current: bool) -> Image:
    name = tag.removeprefix(f"{PREFIX}/").partition(":")[0]
    return Image(name, tag, entry["Id"], entry["Size"], float(entry["Created"]), current)


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
            try:
                route.run(lambda proxy: _build_dockerfile(client, recipe, say, proxy), say)
            finally:
                _remove_passing(client, recipe)
    say(f"done in {time.monotonic() - started:.1f} s")


@contextlib.contextmanager
def _alone(recipe: Recipe, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a recipe's lock on this machine: two that make the same at once would both take twice as long, or fail."""
    with (work_folder() / f"{recipe.name}-{recipe.digest[:12]}.lock").open("w") as held:
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
        fileobj=io.BytesIO(context(recipe)),
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


def _remove_passing(client: docker.DockerClient, recipe: Recipe) -> None:
    """Remove what early stages left, those of a build that was killed too: it may know how to log in at an index."""
    if PASSING_LABEL not in (recipe.folder / "Dockerfile").read_text():
        return
    marks = {"dangling": True, "label": f"{PASSING_LABEL}={recipe.name}"}
    for found in client.api.images(filters=marks):
        with contextlib.suppress(docker.errors.APIError):  # in use by a build of another version, which removes it
            client.api.remove_image(found["Id"])
