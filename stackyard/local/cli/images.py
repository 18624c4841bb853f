# SPDX-License-Identifier: Apache-2.0
"""`stackyard images build|list|packages`: the platform's own images on this machine's Engine.

The work is done by `stackyard.local.images`; this file only asks and prints.
"""

from __future__ import annotations

import dataclasses
import datetime

import click
import docker
import docker.errors

from stackyard import conf
from stackyard.cli import output
from stackyard.local import images as local
from stackyard.model import errors

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
@click.argument("names", nargs=-1)
def build(engine_url: str | None, names: tuple[str, ...]) -> None:
    """Build the named images (without names: all) where they are missing or their recipe has changed."""
    progress = output.Progress()
    with progress.step("images") as say:
        built = local.build(_client(engine_url), names or None, lambda name, line: say(f"{name}: {line}"))
    for reference in built.values():
        click.echo(reference)


@images.command("list")
@engine_url
@output.json_option
def list_images(engine_url: str | None, as_json: bool) -> None:
    """List the platform's images; those of an older recipe are not current."""
    rows = []
    for image in local.list_images(_client(engine_url)):
        made = datetime.datetime.fromtimestamp(image.created, datetime.UTC)
        rows.append(
            dataclasses.asdict(image)
            | {"created": made.isoformat(), "id": image.id[7:19], "size": f"{image.size / 1e6:.0f} MB"}
            if not as_json
            else dataclasses.asdict(image) | {"created": made.isoformat()}
        )
    columns = ("name", "reference", "id", "size", "created", "current")
    output.show(columns, rows, as_json=as_json, empty="no images yet; 'stackyard images build' makes them")


@images.command()
@engine_url
@click.argument("name")
@output.json_option
def packages(engine_url: str | None, name: str, as_json: bool) -> None:
    """List the Debian packages in an image, with their versions."""
    found = local.packages(_client(engine_url), name)
    rows = [{"package": package, "version": version} for package, version in sorted(found.items())]
    output.show(("package", "version"), rows, as_json=as_json)
