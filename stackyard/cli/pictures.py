# SPDX-License-Identifier: Apache-2.0
"""A cluster as a picture: cluster, node groups and nodes as a tree of words, each with a style for terminals.

Used by `cluster show` and while operations are followed. Draws nothing itself but lines; knows no HTTP.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.text import Text

Json = Mapping[str, Any]
Piece = tuple[str, str]
Line = list[Piece]
Age = Callable[[str], str]
"""Tells how long the node of this name has been as it is, in words; "" where nobody watched."""

DIM = "dim"
STYLES = {
    "ready": "green",
    "healthy": "green",
    "draining": "yellow",
    "joining": "cyan",
    "starting": "cyan",
    "absent": DIM,
    "down": "red",
    "unhealthy": "red",
    "unknown": "yellow",
}


def silent(_name: str) -> str:
    """Tell no age."""
    return ""


def tree(cluster: Json, groups: Sequence[Json], age: Age = silent) -> list[Line]:
    """Return the cluster's lines: a head, what is wrong, then its groups and nodes as branches."""
    lines = [_head(cluster), *([(f"  {text}", "")] for text in _facts(cluster, groups))]
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        lines.append([("└── " if last else "├── ", DIM), *_group(group)])
        lines += [[("    " if last else "│   ", DIM), *line] for line in _nodes(group, age)]
    return lines


def nodes_in(groups: Sequence[Json]) -> list[Json]:
    """Return all nodes of the groups."""
    return [node for group in groups for node in group["nodes"]]


def style(word: object) -> str:
    """Return the style of a state, a health or a status."""
    text = str(word or "")
    if text.endswith("_FAILED"):
        return "bold red"
    return "green" if text.endswith("_COMPLETE") else "cyan" if text.endswith("_IN_PROGRESS") else _of_state(text)


def _of_state(text: str) -> str:
    return STYLES.get(text.lower(), "")


def _head(cluster: Json) -> Line:
    head: Line = [(str(cluster["name"]), "bold")]
    for word in (cluster["status"], cluster.get("health_status")):
        if word:
            head += [("  ", ""), (str(word), style(word))]
    return head


def _facts(cluster: Json, groups: Sequence[Json]) -> list[str]:
    """Return what is to be known of the cluster as a whole; what is wrong with a node stands beside that."""
    drawn = {f"{node['name']}.Ready" for node in nodes_in(groups) if node.get("reason")}
    rows = {
        "id": cluster.get("uuid"),
        "engine": cluster.get("coe_version"),
        "address": cluster.get("api_address"),
        "labels": " ".join(f"{key}={value}" for key, value in (cluster.get("labels") or {}).items()),
        "reason": cluster.get("status_reason"),
        "health": "; ".join(_complaints(cluster, drawn)),
    }
    return [f"{name:<8} {value}" for name, value in rows.items() if value]


def _complaints(cluster: Json, drawn: set[str]) -> list[str]:
    """Return what the cluster's health says that is neither good nor drawn elsewhere."""
    reasons = {key: str(text) for key, text in (cluster.get("health_status_reason") or {}).items() if key not in drawn}
    return [f"{key}: {text}" for key, text in sorted(reasons.items()) if text.lower() not in ("true", "ok")]


def _group(group: Json) -> Line:
    ready = sum(node.get("state") == "ready" for node in group["nodes"])
    words = [str(group["role"]), f"{ready}/{group['node_count']} ready"]
    words += [
        f"{key} {group[field]}" for key, field in (("flavor", "flavor_id"), ("image", "image_id")) if group[field]
    ]
    line: Line = [(str(group["name"]), "bold"), (f"  {', '.join(words)}", "")]
    if not str(group["status"]).endswith("_COMPLETE"):
        line += [("  ", ""), (str(group["status"]), style(group["status"]))]
    return line


def _nodes(group: Json, age: Age) -> list[Line]:
    rows = [*group["nodes"], *_to_come(group)]
    width = max((len(str(node["name"])) for node in rows), default=0)
    stems = ["├── "] * (len(rows) - 1) + ["└── "]
    return [[(stem, DIM), *_node(node, width, age)] for stem, node in zip(stems, rows, strict=False)]


def _to_come(group: Json) -> list[Json]:
    """Return a stand-in for each node that is asked for and not seen yet."""
    if str(group["status"]).startswith("DELETE"):
        return []
    missing = int(group["node_count"]) - len(group["nodes"])
    return [{"name": "(to come)", "state": "absent"}] * max(0, missing)


def _node(node: Json, width: int, age: Age) -> Line:
    name, state = str(node["name"]), str(node.get("state") or "unknown")
    line: Line = [(f"{name:<{width}}  ", ""), (f"{state:<8}", style(state))]
    line += [(f"  {text}", DIM) for text in (age(name), node.get("address")) if text]
    if node.get("reason"):
        line.append((f"  {node['reason']}", "yellow"))
    return line


def plain(line: Line) -> str:
    """Return a line's words alone."""
    return "".join(text for text, _ in line).rstrip()


def rich(line: Line) -> Text:
    """Return a line for rich to draw."""
    from rich.text import Text  # noqa: PLC0415  (import time)

    return Text.assemble(*line, overflow="ellipsis", no_wrap=True)


def show(lines: Sequence[Line]) -> None:
    """Print lines to stdout: with styles on a terminal, as words elsewhere."""
    if not sys.stdout.isatty():
        click.echo("\n".join(plain(line) for line in lines))
        return
    from rich.console import Console  # noqa: PLC0415  (import time)
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
