# SPDX-License-Identifier: Apache-2.0
"""Cluster templates for those who do not want to think of them: found, or made when a cluster needs one.

A cluster's image comes from its template, so that another image means another template. Used by `cluster create`
and `cluster upgrade`; also lists what the platform offers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from stackyard.cli import infra, output
from stackyard.cli.infra import Json
from stackyard.cli.session import Session, quote
from stackyard.model import errors

BUILT_IN: Mapping[str, Json] = {"swarm": {"name": "swarm", "coe": "swarm"}}
OWN = frozenset(
    ("uuid", "name", "links", "created_at", "updated_at", "project_id", "user_id", "public", "hidden", "cluster_distro")
)
COLUMNS = ("name", "coe", "image_id", "flavor_id", "master_flavor_id", "labels", "uuid")
OFFERS = {
    "images": ("name", "os_distro"),
    "flavors": ("name", "cpus", "memory_mb"),
    "networks": ("name", "external"),
}
LABELS = ("name", "kind", "default", "help")


@click.command("templates")
@output.json_option
def list_templates(as_json: bool) -> None:
    """List cluster templates."""
    found = _all(infra.session())
    rows = found if as_json else [{**each, "labels": _words(each.get("labels") or {})} for each in found]
    output.show(COLUMNS, rows, as_json=as_json, empty="no templates yet; 'stackyard cluster create NAME' makes one")


@click.command()
@output.json_option
def offers(as_json: bool) -> None:
    """List images, flavors, networks and labels that clusters may have."""
    found = infra.session().get("/offers")
    if as_json:
        output.print_json(found)
        return
    for kind, columns in OFFERS.items():
        _section(kind, columns, found[kind])
    for engines, labels in _engines(found["engines"]):
        _section(f"labels of {engines}", LABELS, labels)


def _engines(engines: Sequence[Json]) -> Iterator[tuple[str, list[Json]]]:
    """Yield the names of engines whose labels are the same, and those."""
    known: list[list[Json]] = []
    for engine in engines:
        if engine["labels"] not in known:
            known.append(engine["labels"])
    for labels in known:
        yield ", ".join(str(engine["coe"]) for engine in engines if engine["labels"] == labels), labels


def resolve(api: Session, name: str, image: str | None = None) -> Json:
    """Return the template of this name or id (built-in ones are made), or its like with another image."""
    base = _find(api, name)
    return base if image is None else with_image(api, base, image)


def with_image(api: Session, base: Json, image: str) -> Json:
    """Return a template that differs from `base` in its image alone; made now where there is none."""
    wanted = {**_content(base), "image_id": image}
    templates = _all(api)
    for template in (base, *templates):
        if _content(template) == wanted and (template["project_id"] == base["project_id"] or template.get("public")):
            return template
    name = _name(base, image, {str(template["name"]) for template in templates})
    made: Json = api.post("/clustertemplates", {"name": name, **infra.given(**wanted)})
    return made


def _find(api: Session, name: str) -> Json:
    try:
        found: Json = api.get(f"/clustertemplates/{quote(name)}")
    except errors.NotFound:
        return _make(api, name)
    except errors.Conflict:  # two commands at the same time both made the built-in one
        same = [template for template in _all(api) if template["name"] == name]
        if name not in BUILT_IN or not same:
            raise
        return min(same, key=lambda template: str(template["created_at"]))
    return found


def _make(api: Session, name: str) -> Json:
    if name not in BUILT_IN:
        raise errors.NotFound(
            f"there is no cluster template {name!r}; built in: {', '.join(BUILT_IN)}; "
            "'stackyard cluster templates' lists the others"
        )
    made: Json = api.post("/clustertemplates", {**BUILT_IN[name], "image_id": _default_image(api)})
    return made


def _default_image(api: Session) -> str:
    """Return the image that the platform offers first."""
    try:
        images = api.get("/offers")["images"]
    except errors.NotFound:
        raise errors.NotFound(
            "this cloud does not tell which images of nodes it has; name a template of yours: --template NAME"
        ) from None
    return str(images[0]["name"])


def _all(api: Session) -> list[Json]:
    return infra.every(api, "/clustertemplates", "clustertemplates")


def _content(template: Json) -> Json:
    """Return what a template says of clusters, without what makes it this template."""
    return {field: value for field, value in template.items() if field not in OWN and value is not None}


def _name(base: Json, image: str, taken: set[str]) -> str:
    stem = str(base["name"]).removesuffix(f"-{_word(str(base['image_id']))}")
    name = f"{stem}-{_word(image)}"[:230]
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)


def _word(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)


def _words(labels: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())


def _section(title: str, columns: Sequence[str], rows: Sequence[Json]) -> None:
    click.secho(title.upper(), bold=True)
    output.print_table(columns, rows, "none")
    click.echo()
