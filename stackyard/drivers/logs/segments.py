# SPDX-License-Identifier: Apache-2.0
"""One application's kept lines on disk: files of JSON lines that follow each other. Used by `files.py`.

A file is named after the position (in bytes, counted over all files there ever were) at which it begins. Its first
line says how far the lines before it went, so that the last file alone tells all; the others are deleted whole.
Whoever reads takes whole lines only, hence a line torn by a crash is never seen.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator

from stackyard.model.logs import Checkpoint, LogLine, Marks

SUFFIX = ".ndjson"
BLOCK = 256 * 1024

Segment = tuple[int, pathlib.Path]
Kept = tuple[int, LogLine]


def segments(folder: pathlib.Path) -> list[Segment]:
    """Return positions and files, oldest first; empty without the folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    return sorted((int(name), folder / f"{name}{SUFFIX}") for name in found if name.isdigit())


def path_of(folder: pathlib.Path, position: int) -> pathlib.Path:
    """Return the file that begins at a position."""
    return folder / f"{position:020d}{SUFFIX}"


def from_position(found: list[Segment], position: int) -> list[Segment]:
    """Return the files from the one that holds the position on."""
    first = max([number for number, (start, _) in enumerate(found) if start <= position], default=0)
    return found[first:]


def encoded(line: LogLine) -> bytes:
    """Return a line as it is kept."""
    parts = [line.at, line.service, line.replica, line.stream, line.text, line.source, int(line.late)]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def decoded(data: bytes) -> LogLine | None:
    """Return a kept line; None for what is none."""
    with contextlib.suppress(ValueError, TypeError):
        at, service, replica, stream, text, source, late = json.loads(data)
        return LogLine(at, service, replica, stream, text, source, bool(late))
    return None


def header(state: Checkpoint) -> bytes:
    """Return the first line of a file."""
    said = {"last": state.last, "marks": state.marks.as_dict()}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def opened(segment: Segment) -> Checkpoint | None:
    """Return what a file's first line says; None when it was torn, or the file is gone."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), segment[1].open("rb") as file:
        first = file.readline()
        if first.endswith(b"\n"):
            said = json.loads(first)
            return Checkpoint(segment[0] + len(first), said["last"], Marks(said["marks"]))
    return None


def raw(segment: Segment, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines behind a position, each with the position behind it; none when the file is gone."""
    position = max(segment[0], after)
    with contextlib.suppress(FileNotFoundError), segment[1].open("rb", buffering=BLOCK) as file:
        file.seek(position - segment[0])
        for data in file:
            if not data.endswith(b"\n"):
                return
            position += len(data)
            yield position, data


def lines(segment: Segment, after: int = 0) -> Iterator[Kept]:
    """Yield the kept lines of one file behind a position."""
    for position, data in raw(segment, after):
        if data.startswith(b"[") and (line := decoded(data)):
            yield position, line


def state(folder: pathlib.Path, position: int | None = None) -> Checkpoint:
    """Return how far the lines go, or went up to a position."""
    for segment in reversed(segments(folder)):
        if position is not None and segment[0] > position:
            continue
        if begun := opened(segment):
            return _passed(segment, begun, position)
    oldest = segments(folder)[:1]
    return (opened(oldest[0]) if oldest else None) or Checkpoint()


def _passed(segment: Segment, begun: Checkpoint, position: int | None) -> Checkpoint:
    end, last, marks = begun.position, begun.last, begun.marks
    for behind, line in lines(segment, begun.position):
        if position is not None and behind > position:
            break
        end, last = behind, max(last, line.at)
        marks.advance(line)
    return Checkpoint(end, last, marks)
