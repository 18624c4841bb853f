# SPDX-License-Identifier: Apache-2.0
"""`stackyard images build|list|packages|compare`: the platform's own images on this machine's Engine.

The work is done by `stackyard.local.images` and `contents`; this file only asks and prints.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import click
import docker
import docker.errors

from stackyard import conf
from stackyard.cli import output
from stackyard.local import contents, recipes
from stackyard.local import images as local
from stackyard.model import errors

RELEASE = "2025.1"
DEBIAN, SOURCE = "debian", "source"
COLUMNS = ("name", "reference", "digest", "size", "created", "current", "packages", "versions")
DIFFERENCE = ("package", "one", "other")

engine_url = click.option("--engine-url", envvar="STACKYARD_ENGINE_URL", help="The Docker Engine to build on.")


def _client(url: str | None) -> docker.DockerClient:
    url = url or conf.load().engine_url
    try:
        return docker.DockerClient(base_url=url, version="auto", timeout=600)
    except docker.errors.DockerException as error:
        raise errors.Unavailable(f"no Docker Engine answers at {url}: {error}; 'stackyard up' starts one") from None


@click.group()
def images() -> None:
    """Build and list the platform's images."""


@images.command()
@engine_url
@click.option(
    "--from",
    "origin",
    type=click.Choice((DEBIAN, SOURCE)),
    default=DEBIAN,
    show_default=True,
    help="What OpenStack's services are taken from; source: the releases on PyPI.",
)
@click.option("--release", default=RELEASE, show_default=True, help="Release of OpenStack, with --from source.")
@click.argument("names", nargs=-1)
def build(engine_url: str | None, origin: str, release: str, names: tuple[str, ...]) -> None:
    """Build the named images (without names: all) where they are missing or their recipe has changed."""
    if origin == SOURCE:
        names = tuple(recipes.from_source(name, release) for name in names or ("openstack",))
    progress = output.Progress()
    with progress.step("images") as say:
        built = local.build(_client(engine_url), names or None, lambda name, line: say(f"{name}: {line}"))
    for reference in built.values():
        click.echo(reference)


@images.command("list")
@engine_url
@output.json_option
def list_images(engine_url: str | None, as_json: bool) -> None:
    """List the platform's images; of current ones also how many packages they hold, and those asked for by name.

    Images of an older recipe are not current. The digest is what `openstack status` shows for each replica.
    """
    client = _client(engine_url)
    found = local.list_images(client)
    current = {image.id for image in found if image.current}
    inside = contents.packages_of_all(client, current, local.work_folder())
    rows = [_row(image, inside.get(image.id)) for image in found]
    shown = rows if as_json else [_text(row) for row in rows]
    output.show(COLUMNS, shown, as_json=as_json, empty="no images yet; 'stackyard images build' makes them")


def _row(image: local.Image, found: contents.Packages | None) -> dict[str, Any]:
    made = datetime.datetime.fromtimestamp(image.created, datetime.UTC).isoformat()
    row = dataclasses.asdict(image) | {"created": made, "digest": image.id, "packages": None, "versions": {}}
    if found is None:
        return row
    return row | {"packages": len(found), "versions": contents.versions(found, _named(image.name))}


def _named(name: str) -> list[str]:
    folder = recipes.FOLDER / name
    asked = "\n".join(path.read_text() for path in sorted(folder.glob("requirements-*.txt")))
    return contents.named((folder / "Dockerfile").read_text(), asked)


def _text(row: dict[str, Any]) -> dict[str, Any]:
    versions = " ".join(f"{name}={version}" for name, version in row["versions"].items())
    return row | {"digest": output.short(row["digest"]), "size": f"{row['size'] / 1e6:.0f} MB", "versions": versions}


@images.command()
@engine_url
@click.argument("name")
@output.json_option
def packages(engine_url: str | None, name: str, as_json: bool) -> None:
    """List the packages in an image (by name, name:tag or digest) with their versions; pypi: marks those of PyPI."""
    client = _client(engine_url)
    found = contents.packages(client, local.find(client, name), local.work_folder())
    rows = [{"package": package, "version": version} for package, version in sorted(found.items())]
    output.show(("package", "version"), rows, as_json=as_json)


@images.command()
@engine_url
@click.argument("one")
@click.argument("other")
@output.json_option
def compare(engine_url: str | None, one: str, other: str, as_json: bool) -> int:
    """Tell whether two images (by name, name:tag or digest) are one and the same; else what differs, and end with 1."""
    client = _client(engine_url)
    digests = [local.find(client, name) for name in (one, other)]
    inside = [contents.packages(client, digest, local.work_folder()) for digest in digests]
    found = contents.difference(*inside)
    rows = [{"package": name, "one": first, "other": second} for name, (first, second) in found.items()]
    same = digests[0] == digests[1]
    if as_json:
        output.print_json({"identical": same, "digests": digests, "packages": rows})
    elif same:
        click.echo(f"identical: both are {digests[0]}")
    else:
        click.echo(f"different: {output.short(digests[0])} and {output.short(digests[1])}")
        output.print_table(DIFFERENCE, rows, "the same packages in the same versions; other files differ")
    return int(not same)
