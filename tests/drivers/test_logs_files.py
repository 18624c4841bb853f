# SPDX-License-Identifier: Apache-2.0
"""Log lines on a real disk: read as written, bounded, resumed after a crash, and honest about a full disk."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from stackyard.drivers.logs import inbox, segments
from stackyard.drivers.logs.files import FileLogStore
from stackyard.drivers.logs.keeper import LOCK, Bounds
from stackyard.model import errors
from stackyard.model.logs import LogLine, stamp

APP = "7b0c8f6e-0000-4000-8000-000000000001"
NOW = time.time()


def line(number: int, source: str = "a", text: str = "", late: bool = False) -> LogLine:
    return LogLine(
        stamp(NOW - 1000 + number / 100), "web", f"web.1.{source}", "stdout", text or str(number), source, late
    )


@pytest.fixture
def store(tmp_path: pathlib.Path) -> FileLogStore:
    return FileLogStore(tmp_path / "logs", Bounds(size=256 * 1024))


def files(store: FileLogStore) -> list[pathlib.Path]:
    return [path for _, path in segments.segments(store._of(APP))]


def texts(store: FileLogStore, after: int = 0) -> list[str]:
    return [each.text for _, each in store.read(APP, after)]


def write(store: FileLogStore, *lines: LogLine) -> None:
    keeper = store.keeper(APP)
    keeper.write(lines)
    keeper.close()


def test_lines_come_back_as_they_were_from_any_position(store: FileLogStore) -> None:
    odd = ["ü € \U0001f600", '"[{', "\u2028 \x00", "", "x" * 300_000]
    lines = [line(number, text=text or " ", late=number == 2) for number, text in enumerate(odd)]
    write(store, *lines)
    found = list(store.read(APP))
    assert [each for _, each in found] == lines
    for number, (position, _) in enumerate(found, 1):
        assert [each for _, each in store.read(APP, position)] == lines[number:]
    assert [each for _, each in store.newest(APP, 2, lambda each: True)] == lines[-2:]
    assert store.state(APP).last == lines[-1].at


def test_nothing_is_kept_of_an_application_unknown(store: FileLogStore) -> None:
    assert list(store.read(APP)) == store.newest(APP, 3, lambda each: True) == []
    assert store.state(APP).position == 0
    assert not store.kept(APP)
    store.delete(APP)
    with pytest.raises(errors.BadInput):
        list(store.read("../etc"))


def test_only_the_platform_s_user_may_read(store: FileLogStore) -> None:
    write(store, line(1))
    store.append(APP, [line(2)])
    assert store._of(APP).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store._of(APP).iterdir()} == {0o600}


def test_size_is_bounded_and_positions_go_on(store: FileLogStore) -> None:
    keeper = store.keeper(APP)
    for number in range(0, 10_000, 50):
        keeper.write(
            [line(each, source="ab"[each % 2], text=f"{each} {'x' * 80}") for each in range(number, number + 50)]
        )
    assert sum(path.stat().st_size for path in files(store)) <= 256 * 1024
    kept = [int(text.split()[0]) for text in texts(store)]
    assert kept == list(range(10_000 - len(kept), 10_000))
    assert len(kept) > 1000
    assert store.state(APP) == keeper.state
    assert len(store.state(APP).marks.as_dict()) == 2, "marks outlive the files with their lines"


def test_what_is_too_old_goes_even_while_nothing_is_logged(tmp_path: pathlib.Path) -> None:
    store = FileLogStore(tmp_path, Bounds(age=200_000))
    keeper = store.keeper(APP)
    keeper.write([line(-(10**8)), line(1)])
    assert texts(store) == ["1"], "too old when it came"
    os.utime(files(store)[0], (NOW - 300_000, NOW - 300_000))
    keeper._begun -= 300_000
    keeper.write([])
    assert texts(store) == []
    assert store.state(APP).marks == keeper.state.marks
    assert keeper.state.position > 0
    assert store.state(APP).last == line(1).at


def test_one_keeper_at_a_time_and_the_next_goes_on(store: FileLogStore) -> None:
    first = store.keeper(APP)
    assert store.kept(APP)
    with pytest.raises(errors.Conflict):
        store.keeper(APP)
    first.write([line(1)])
    first.close()
    assert not store.kept(APP)
    second = store.keeper(APP)
    assert second.state == store.state(APP)
    second.write([line(2)])
    assert texts(store) == ["1", "2"]


def _keep_for_ever(folder: pathlib.Path) -> None:
    keeper = FileLogStore(folder, Bounds(size=256 * 1024)).keeper(APP)
    number = keeper.state.position
    while True:
        keeper.write([line(number + each, text=f"{number + each} {'x' * 500}") for each in range(40)])
        number += 40


def test_a_keeper_killed_while_it_writes(store: FileLogStore, tmp_path: pathlib.Path) -> None:
    for _ in range(3):
        process = multiprocessing.get_context("spawn").Process(target=_keep_for_ever, args=(tmp_path / "logs",))
        before = store.state(APP).position
        process.start()
        deadline = time.monotonic() + 60
        while store.state(APP).position < before + 30_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.join()
        keeper = store.keeper(APP)
        assert store.state(APP) == keeper.state
        keeper.close()
        found = list(store.read(APP))
        assert found[-1][0] == keeper.state.position
        assert all(each.text.endswith("x" * 500) for _, each in found)


@pytest.mark.parametrize("torn", [b'["2026-01-01T00:00', b"\x00\xff"])
def test_a_torn_last_line_is_never_seen_and_is_dropped(store: FileLogStore, torn: bytes) -> None:
    write(store, line(1), line(2))
    position = store.state(APP).position
    with files(store)[-1].open("ab") as file:
        file.write(torn)
    assert texts(store) == ["1", "2"]
    assert store.state(APP).position == position
    write(store, line(3))
    assert texts(store) == ["1", "2", "3"]
    assert texts(store, position) == ["3"]


def test_a_file_without_its_first_line_is_removed(store: FileLogStore) -> None:
    write(store, line(1))
    state = store.state(APP)
    segments.path_of(store._of(APP), state.position).write_bytes(b'{"last": "20')
    assert store.state(APP) == state
    write(store, line(2))
    assert texts(store) == ["1", "2"]


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount one (root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_pauses_and_loses_nothing(disk: pathlib.Path) -> None:
    store = FileLogStore(disk)
    lines = [line(number, text=f"{number} {'x' * 200}") for number in range(1000)]
    keeper = store.keeper(APP)
    with pytest.raises(errors.Unavailable, match=r"No space left.*make room"):
        keeper.write(lines)
    state = keeper.state
    keeper.close()
    kept = texts(store)
    assert 100 < len(kept) < 1000
    assert state == store.state(APP)
    with pytest.raises(errors.Unavailable, match="No space left"):
        store.append("another", lines)
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    keeper = store.keeper(APP)
    assert keeper.state == state
    passed = keeper.state.marks
    keeper.write([each for each in lines if not passed.skips(each)])
    keeper.close()
    assert texts(store) == [each.text for each in lines]


def test_lines_handed_in_reach_the_keeper_once_whoever_dies(store: FileLogStore) -> None:
    store.append(APP, [line(1, ""), line(2, "")])
    keeper = store.keeper(APP)
    taken = keeper.handed_in()
    assert [(each.text, each.source) for each in taken] == [("1", "web"), ("2", "web")]
    keeper.write(taken[:1])
    keeper.close()
    keeper = store.keeper(APP)
    assert [each.text for each in keeper.handed_in()] == ["2"]
    assert keeper.handed_in() == []
    with (store._of(APP) / inbox.FILE).open("ab") as file:
        file.write(b'["torn')
    assert keeper.handed_in() == []
    store.append(APP, [line(3, "")])
    assert [each.text for each in keeper.handed_in()] == ["3"]


def test_the_inbox_is_emptied_when_all_of_it_is_kept(store: FileLogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "EMPTIED_AT", 100)
    keeper = store.keeper(APP)
    store.append(APP, [line(number) for number in range(10)])
    taken = keeper.handed_in()
    keeper.write(taken[:9])
    assert keeper.handed_in() == []
    file = store._of(APP) / inbox.FILE
    assert file.stat().st_size > 0
    keeper.write(taken[9:])
    assert keeper.handed_in() == []
    assert file.stat().st_size == 0
    store.append(APP, [line(10)])
    assert [each.text for each in keeper.handed_in()] == ["10"]
    monkeypatch.setattr(inbox, "LARGEST", 100)
    with pytest.raises(errors.Unavailable, match="wait to be kept"):
        store.append(APP, [line(11)])


def test_deleting_ends_the_keeper_and_leaves_nothing(store: FileLogStore) -> None:
    keeper = store.keeper(APP)
    keeper.write([line(1)])
    assert store.ids() == [APP]
    store.delete(APP)
    assert store.ids() == []
    with pytest.raises(errors.NotFound):
        keeper.write([line(2)])
    keeper.close()
    assert not (store._of(APP) / LOCK).exists()
    assert list(store._folder.iterdir()) == []
