# SPDX-License-Identifier: Apache-2.0
"""`stackyard plan`: what a push of a folder would do, and why. The platform reads the tree and builds nothing."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import click

from stackyard.cli import archive, output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session
from stackyard.model import errors

Json = dict[str, Any]


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=click.Path(exists=True, file_okay=False))
@output.json_option
def plan(folder: str, as_json: bool) -> None:
    """Show what a push of a folder would do and why, without building."""
    session = Session(SERVICE)
    packed = archive.pack(pathlib.Path(folder))
    path = f"/sources/{packed.digest}/plan"
    try:
        found = session.post(path, {})
    except errors.NotFound:
        session.upload("/sources", packed.stream, "application/gzip")
        found = session.post(path, {})
    if as_json:
        output.print_json(found)
        return
    for line in told(found):
        click.echo(line)


def told(found: Json) -> Iterator[str]:
    """Yield a plan as lines for a person."""
    for note in found["notes"]:
        yield f"• {note}"
    for service in found["services"]:
        yield ""
        yield from _service(service)
    if found["volumes"]:
        yield f"\nvolumes: {', '.join(found['volumes'])}"


def _service(service: Json) -> Iterator[str]:
    yield f"service {service['name']}"
    if service["pack"]:
        yield from _pack(service["pack"])
    elif service["dockerfile"]:
        yield from _dockerfile(service["dockerfile"], service["context"])
    elif service.get("buildpacks"):
        yield f"  build    by buildpacks, in this order: {', '.join(service['buildpacks'])}"
        yield "  needs    what they decide themselves when they run"
    else:
        yield f"  image    {service['image']}, as it is"
    if service["command"]:
        yield f"  command  {_shown(service['command'])}"
    yield f"  port     {service['port'] or 'none: nothing is routed to it'}"
    if service["replicas"] != 1:
        yield f"  replicas {service['replicas']}"


def _pack(pack: Json) -> Iterator[str]:
    runtime = pack["runtime"]
    yield f"  found    {pack['found']}"
    yield f"  runtime  {runtime['name']} {runtime['version']}: {runtime['reason']}"
    for name in ("install", "tools", "build"):
        step = pack[name]
        if step:
            files = ", ".join(step["files"][:8]) or "nothing"
            why = "every file" if step["whole_tree"] else files
            yield f"  {name:<8} {step['tool']} for {step['subject']}, again when this changes: {why}"


def _dockerfile(made: Json, context: str) -> Iterator[str]:
    target = f", up to target {made['target']}" if made["target"] else ""
    yield f"  build    {made['path']} in {context}{target}"
    yield f"  needs    {', '.join(made['images']) or 'no other image'}"


def _shown(command: list[str]) -> str:
    return command[2] if command[:2] == ["/bin/sh", "-c"] and len(command) == 3 else " ".join(command)
