# SPDX-License-Identifier: Apache-2.0
"""The container-infrastructure API as the cluster commands use it: finding, listing, and who belongs to which group.

The same API that `openstack coe` talks to; knows nothing of applications, and prints nothing.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import click

from stackyard.cli.session import Session, quote
from stackyard.model import errors

SERVICE = "container-infra"
VERSION = {"OpenStack-API-Version": "container-infra latest"}

Json = dict[str, Any]


def session() -> Session:
    """Return a connection to the API in its newest version."""
    return Session(SERVICE, VERSION)


def cluster(api: Session, name: str) -> Json:
    """Return one cluster by name or id; raises NotFound."""
    found: Json = api.get(f"/clusters/{quote(name)}")
    return found


def clusters(api: Session) -> list[Json]:
    """Return all clusters of the project, in short."""
    return every(api, "/clusters", "clusters")


def groups(api: Session, of: Json) -> list[Json]:
    """Return the cluster's node groups in short, managers first, each with its `nodes` as last seen."""
    found = every(api, f"/clusters/{of['uuid']}/nodegroups", "nodegroups")
    ordered = sorted(found, key=lambda group: (group["role"] != "master", not group.get("is_default")))
    return [{**group, "nodes": _nodes(of, str(group["name"]))} for group in ordered]


def whole(api: Session, of: Json) -> Json:
    """Return a cluster with its node groups in it."""
    return {**of, "nodegroups": groups(api, of)}


def every(api: Session, path: str, key: str) -> list[Json]:
    """Return all items of a collection, over as many pages as there are."""
    page = api.get(path)
    found: list[Json] = list(page[key])
    while page.get("next"):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page["next"]).query))
        page = api.get(path, **query)
        found += page[key]
    return found


def pairs(_context: click.Context, _option: click.Parameter, words: Sequence[str]) -> dict[str, str]:
    """Return `k=v` words as a mapping; the callback of options that take labels."""
    wrong = next((word for word in words if not word.partition("=")[0] or "=" not in word), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} must be KEY=VALUE")
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def given(**values: Any) -> Json:
    """Return those fields that have a value: the platform's defaults hold for the others."""
    return {name: value for name, value in values.items() if value not in (None, {}, [], ())}


def failure(of: Mapping[str, Any]) -> errors.StackyardError:
    """Return the error for a cluster that is *_FAILED: its cause, and what can be done."""
    name, status = of["name"], of["status"]
    told = [of.get("status_reason") or "no reason given"]
    told += [f"{group}: {text}" for group, text in (of.get("faults") or {}).items() if text and text not in told]
    return errors.StackyardError(f"{name}: {status}: {'; '.join(told)}. {_cure(name, status)}")


def _cure(name: str, status: str) -> str:
    if status == "DELETE_FAILED":
        return f"Try again: stackyard cluster delete {name}"
    if status == "CREATE_FAILED":
        return (
            f"Once the cause is mended, 'stackyard cluster resize {name} --nodes N' tries again; "
            f"'stackyard cluster delete {name}' removes it"
        )
    return f"Ask for the same again to retry; 'stackyard cluster show {name}' tells what works meanwhile"


def _nodes(of: Json, group: str) -> list[Json]:
    """Return the nodes of the group of this name, each with the reason why it is not ready."""
    reasons = of.get("health_status_reason") or {}
    nodes = [node for node in of.get("nodes") or [] if node["nodegroup"] == group]
    return [{**node, "reason": _reason(str(reasons.get(f"{node['name']}.Ready", "")))} for node in nodes]


def _reason(text: str) -> str:
    """Return why a node is not ready, out of words like `False: its machine stopped`."""
    return text.partition(": ")[2]
