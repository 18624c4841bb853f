# SPDX-License-Identifier: Apache-2.0
"""What is in an image: its packages and their versions, and what two images differ in.

Called by `stackyard images`. Packages are read from the image's own files, so nothing of it has to run; since an image
never changes, what was read is kept beside the locks of builds. Knows nothing of how images are made.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import pathlib
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import docker
import docker.errors
import docker.models.containers
import requests

from stackyard.drivers.engines.failures import plainly
from stackyard.model import errors

DEBIAN = "/var/lib/dpkg/status"
PYTHON = "/venv/packages.txt"
"""Written by the build of an image from source: what `pip freeze` tells."""
AT_ONCE = 4
_INSTALLED = re.compile(r"^Status: \S+ \S+ installed$", re.MULTILINE)
_FIELD = r"^{}: (\S+)$"
_FROZEN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)$", re.MULTILINE)
_INSTALL = re.compile(r"apt-get install ([^&|;]*)")
_DEBIAN_VERSION = re.compile(r"(?:\d+:)?(.+?)(?:-[^-]+)?")

Packages = Mapping[str, str]


def packages(client: docker.DockerClient, image: str, folder: pathlib.Path) -> Packages:
    """Return the versions of the packages in an image (by id), by name; those from PyPI as `pypi:NAME`.

    `folder` is where this is kept. Raises NotFound without such an image.
    """
    kept = folder / f"packages-{image.removeprefix('sha256:')[:32]}.json"
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(kept.read_text()))
    found = _read(client, image)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
        json.dump(found, file)
    pathlib.Path(file.name).replace(kept)
    return found


def packages_of_all(client: docker.DockerClient, images: Iterable[str], folder: pathlib.Path) -> dict[str, Packages]:
    """Return the same for several images, by their ids."""
    wanted = sorted(set(images))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(lambda image: packages(client, image, folder), wanted), strict=True))


def named(dockerfile: str, requirements: str = "") -> list[str]:
    """Return the packages that a recipe asks for by name, as `packages` names them, in its order."""
    lines = dockerfile.replace("\\\n", " ")
    debian = [word for asked in _INSTALL.findall(lines) for word in asked.split() if re.match(r"[a-z0-9]", word)]
    return [*(f"pypi:{name}" for name, _ in _FROZEN.findall(requirements)), *dict.fromkeys(debian)]


def versions(found: Packages, names: Sequence[str]) -> dict[str, str]:
    """Return upstream's versions of those packages that are in the image, without what Debian adds to them."""
    return {name.removeprefix("pypi:"): upstream(found[name]) for name in names if name in found}


def upstream(version: str) -> str:
    """Return a Debian version without its epoch and revision."""
    match = _DEBIAN_VERSION.fullmatch(version)
    return match[1] if match else version


def difference(one: Packages, other: Packages) -> dict[str, tuple[str, str]]:
    """Return both versions of each package that is not the same in two images; none where it is absent is ''."""
    names = sorted(one.keys() | other.keys())
    return {name: (one.get(name, ""), other.get(name, "")) for name in names if one.get(name) != other.get(name)}


def _read(client: docker.DockerClient, image: str) -> dict[str, str]:
    with plainly(f"reading packages of {image}"), _container(client, image) as container:
        debian = dict(_debian(_file(container, DEBIAN)))
        python = {f"pypi:{name}": version for name, version in _FROZEN.findall(_file(container, PYTHON))}
    return {**debian, **python}


def _debian(status: str) -> Iterator[tuple[str, str]]:
    """Yield names and versions of the installed packages in dpkg's own file."""
    for entry in status.split("\n\n"):
        fields = [re.search(_FIELD.format(key), entry, re.MULTILINE) for key in ("Package", "Version")]
        if _INSTALLED.search(entry) and fields[0] and fields[1]:
            yield fields[0][1], fields[1][1]


@contextlib.contextmanager
def _container(client: docker.DockerClient, image: str) -> Iterator[docker.models.containers.Container]:
    """Give a container of the image that is never started: the Engine reads files from it all the same."""
    try:
        made = client.containers.create(image, ["none"], network_mode="none", labels={"stackyard.reading": "1"})
    except docker.errors.ImageNotFound:
        raise errors.NotFound(f"there is no image {image} on this Engine") from None
    try:
        yield made
    finally:
        made.remove(v=True, force=True)


def _file(container: docker.models.containers.Container, path: str) -> str:
    """Return a file's text, nothing where there is none."""
    try:
        pieces, _ = container.get_archive(path)
    except (docker.errors.NotFound, requests.HTTPError):
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        read = tar.extractfile(tar.next() or "")
        return read.read().decode(errors="replace") if read else ""
