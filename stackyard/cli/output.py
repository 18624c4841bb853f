# SPDX-License-Identifier: Apache-2.0
"""What every command prints: tables, JSON, and the progress of long steps.

On a terminal rich draws; in a pipe or a log file the same words come as plain lines. Results go to
stdout and progress to stderr, so that `--json` output can always be read by a program. Knows no API.
"""

# ruff: noqa: PLC0415 -- importing rich costs as much as a whole API call, and pipes never need it

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table as RichTable

Row = Mapping[str, object]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
env_option = click.option("--env", "environment", metavar="NAME", help="Environment. Default: production.")

GOOD = frozenset({"up", "ready", "running", "complete", "deployment_complete", "create_complete", "serving"})
BAD = frozenset({"down", "failed", "error", "exited", "unhealthy", "create_failed", "delete_failed"})
MARKS = {"✓": "green", "✗": "bold red", "│": "dim"}


def print_json(value: object) -> None:
    """Print any value as JSON; what JSON does not know (times, paths) becomes text."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_line(value: object) -> None:
    """Print any value as JSON on one line, for streams."""
    click.echo(json.dumps(value, default=str, ensure_ascii=False))


def short(digest: str) -> str:
    """Return enough of a digest to tell it from others."""
    return digest.removeprefix("sha256:")[:12]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value)


def _style(text: str) -> str:
    word = text.lower()
    return "green" if word in GOOD else "red" if word in BAD else ""


def _plain(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return the table as text in columns, never cut: a script may read it."""
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in [columns, *cells]
    ]
    return "\n".join(line.rstrip() for line in lines)


def rich_table(columns: Sequence[str], rows: Sequence[Row]) -> RichTable:
    """Return rows (mappings) as a table for rich to draw."""
    return _drawn(_headings(columns), _cells(columns, rows))


def _headings(columns: Sequence[str]) -> list[str]:
    return [column.replace("_", " ").upper() for column in columns]


def _cells(columns: Sequence[str], rows: Sequence[Row]) -> list[list[str]]:
    return [[_cell(row.get(column)) for column in columns] for row in rows]


def _drawn(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text, _style(text)) for text in line))
    return table


def print_table(columns: Sequence[str], rows: Sequence[Row], empty: str = "nothing here yet") -> None:
    """Print rows (mappings) under `columns`, which are keys too; `empty` is said when there are none."""
    if not rows:
        click.echo(empty)
        return
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(rich_table(columns, rows))
    else:
        click.echo(_plain(_headings(columns), _cells(columns, rows)))


def show(columns: Sequence[str], rows: Sequence[Row], *, as_json: bool, empty: str = "nothing here yet") -> None:
    """Print rows as JSON (whole) or as a table (only `columns`)."""
    if as_json:
        print_json([dict(row) for row in rows])
    else:
        print_table(columns, rows, empty)


class Progress:
    """Tells what is going on: `step("building")` around a long piece of work, `note` for a single line.

    Steps may run at the same time in several threads. Quiet ones (`--json`) say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, str] = {}
        self._told = ""
        self._quiet = quiet
        self._console: Console | None = None
        self._status: Status | None = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)

    def note(self, text: str, mark: str = "•") -> None:
        """Print one line."""
        if self._quiet:
            return
        if self._console is not None:
            from rich.text import Text

            self._console.print(Text.assemble((mark, MARKS.get(mark.strip(), "")), " ", text), soft_wrap=True)
        else:
            click.echo(f"{mark} {text}", err=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show `text` while the block runs, then a line with its seconds; yields a function for details."""
        began, key = time.monotonic(), object()
        self._show(id(key), text)
        try:
            yield lambda detail: self._show(id(key), f"{text}: {detail.strip()}")
        except BaseException:
            self._show(id(key), None)
            self.note(f"{text} ({time.monotonic() - began:.1f} s)", "✗")
            raise
        self._show(id(key), None)
        self.note(f"{text} ({time.monotonic() - began:.1f} s)", "✓")

    def _show(self, key: int, text: str | None) -> None:
        """Draw the line of everything that runs now."""
        with self._lock:
            if text is None:
                self._running.pop(key, None)
            else:
                self._running[key] = text
            if self._console is None:
                self._tell(text)
            elif self._running:
                self._draw(" · ".join(self._running.values()))
            elif self._status is not None:
                self._status.stop()
                self._status = None

    def _tell(self, text: str | None) -> None:
        """Print a detail as a line of its own, once."""
        if text is not None and text != self._told and not self._quiet:
            self._told = text
            click.echo(f"- {text} ...", err=True)

    def _draw(self, line: str) -> None:
        from rich.markup import escape

        assert self._console is not None
        line = escape(line.replace("\n", " ")[: self._console.width - 4])
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        else:
            self._status.update(line)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal unless `yes`; aborts on no, and says how to answer where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} There is no terminal to ask on: add --yes.")
    click.confirm(question, abort=True)


def fields(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: its fields under each other, or JSON."""
    if as_json:
        print_json(dict(row))
        return
    width = max((len(key) for key in row), default=0)
    for key, value in row.items():
        click.echo(f"{key.ljust(width)}  {_cell(value)}".rstrip())
