# SPDX-License-Identifier: Apache-2.0
"""Archives in a folder: storing, unpacking, and all that must be refused, on a real file system."""

import errno
import gzip
import io
import os
import pathlib
import tarfile
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.drivers.sources import unpack
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.model import errors

LIMIT = 10_000_000


def entry(name: str, type: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = type, link, mode
    return made


def archive(*entries: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for item in entries:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


@pytest.fixture
def sources(tmp_path: pathlib.Path) -> SourceFolder:
    return SourceFolder(tmp_path / "sources")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def unpacked(
    sources: SourceFolder, tree: pathlib.Path, *entries: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo
) -> None:
    sources.unpack(sources.put(archive(*entries), LIMIT), str(tree))


def test_what_is_put_can_be_unpacked_and_deleted(
    sources: SourceFolder, tree: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data = archive(
        (entry("run.sh", mode=0o4755), b"#!/bin/sh"), (entry("a/b.txt"), b"hello"), entry("l", b"2", "a/b.txt")
    )
    digest = sources.put(data, LIMIT)
    assert sources.put(io.BytesIO(data.getvalue()), LIMIT) == digest
    sources.unpack(digest, str(tree))
    assert (tree / "a/b.txt").read_text() == (tree / "l").read_text() == "hello"
    assert (tree / "run.sh").stat().st_mode & 0o7777 == 0o755  # executable, but not setuid
    sources.delete(digest)
    sources.delete(digest)
    assert list((tmp_path / "sources").iterdir()) == []
    with pytest.raises(errors.GiveUp, match="push again"):
        sources.unpack(digest, str(tree))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([(entry("/etc/cron.d/x"), b"x")], "'/etc/cron.d/x' leaves"),
        ([(entry("../x"), b"x")], "'../x' leaves"),
        ([(entry("a/../../x"), b"x")], "'a/../../x' leaves"),
        ([entry("l", tarfile.SYMTYPE, "/etc/passwd")], "symlink 'l' -> '/etc/passwd' leaves"),
        ([entry("l", tarfile.SYMTYPE, "../x")], "symlink 'l'"),
        ([entry("a/l", tarfile.SYMTYPE, "../../x")], "symlink 'a/l'"),
        ([entry("l", tarfile.SYMTYPE, ".."), (entry("l/x"), b"x")], "both a link and a folder"),
        (
            [entry("d", tarfile.DIRTYPE), entry("l", tarfile.SYMTYPE, "d"), entry("l/m", tarfile.SYMTYPE, "x")],
            "'l/m' is both",
        ),
        # each link is harmless until the other is there: y -> . makes x -> y/.. the folder above
        ([entry("x", tarfile.SYMTYPE, "y/.."), entry("y", tarfile.SYMTYPE, ".")], "symlink 'x'"),
        ([entry("h", tarfile.LNKTYPE, "/etc/passwd")], "'/etc/passwd' leaves"),
        ([entry("h", tarfile.LNKTYPE, "../x")], "'../x' leaves"),
        ([entry("h", tarfile.LNKTYPE, "absent")], "hard link to 'absent'"),
        ([entry("l", tarfile.SYMTYPE, "/etc/passwd"), entry("h", tarfile.LNKTYPE, "l")], "hard link to 'l'"),
        ([entry("null", tarfile.CHRTYPE)], "'null' is a device"),
        ([entry("sda", tarfile.BLKTYPE)], "'sda' is a device"),
        ([entry("pipe", tarfile.FIFOTYPE)], "'pipe' is a device, pipe"),
        ([(entry("a"), b"x"), (entry("a/b"), b"x")], "both a file and a folder"),
        ([(entry("a/b"), b"x"), (entry("a"), b"x")], "both a file and a folder"),
        ([(entry("n" * 300), b"x")], "can't be written"),
    ],
)
def test_what_leaves_the_tree_or_is_no_plain_file_is_refused_by_name(
    sources: SourceFolder, tree: pathlib.Path, entries: list[tarfile.TarInfo], words: str
) -> None:
    before = set(tree.parent.iterdir())
    with pytest.raises(errors.GiveUp, match=r"archive entry|symlink") as refusal:
        unpacked(sources, tree, *entries)
    assert words in str(refusal.value)
    assert set(tree.parent.iterdir()) == before
    outside = [p for p in tree.rglob("*") if p.is_symlink() and not p.resolve().is_relative_to(tree)]
    assert outside == []


NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=7))
def test_no_archive_whatever_writes_or_points_outside(items: list[tuple[str, bytes, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = pathlib.Path(name).resolve()
        (top / "tree").mkdir()
        (top / "a").write_text("mine")
        entries = [
            (entry(n, kind, link), b"evil") if kind == tarfile.REGTYPE else entry(n, kind, link)
            for n, kind, link in items
        ]
        try:
            unpack.unpack_archive(archive(*entries), top / "tree")
        except errors.GiveUp:
            pass
        else:
            for path in (top / "tree").rglob("*"):
                assert pathlib.Path(os.path.realpath(path)).is_relative_to(top / "tree")
        assert sorted(path.name for path in top.iterdir()) == ["a", "tree"]
        assert (top / "a").read_text() == "mine"


def test_too_many_entries(sources: SourceFolder, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_FILES", 3)
    with pytest.raises(errors.GiveUp, match="more than 3 entries, at 'f3'"):
        unpacked(sources, tree, *[(entry(f"f{n}"), b"x") for n in range(5)])


def test_hard_links_count_as_what_they_would_take(
    sources: SourceFolder, tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 2500)
    links = [entry(f"h{n}", tarfile.LNKTYPE, "f") for n in range(5)]
    with pytest.raises(errors.GiveUp, match="unpacks to more than 2500 bytes, at 'h1'"):
        unpacked(sources, tree, (entry("f"), b"x" * 1000), *links)


def test_a_giant_header_is_not_read_into_memory(sources: SourceFolder, tree: pathlib.Path) -> None:
    header = entry("x", tarfile.XHDTYPE)
    with pytest.raises(errors.GiveUp, match="headers"):
        unpacked(sources, tree, (header, b"\0" * 6_000_000), (entry("a"), b"x"))


def test_a_later_entry_of_the_same_name_wins(sources: SourceFolder, tree: pathlib.Path) -> None:
    unpacked(sources, tree, (entry("a"), b"1"), entry("b", tarfile.LNKTYPE, "a"), (entry("./a"), b"2"))
    assert ((tree / "a").read_text(), (tree / "b").read_text()) == ("2", "1")


def test_limits_and_other_bytes_leave_nothing_behind(sources: SourceFolder, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.TooLarge, match="larger than 100 bytes"):
        sources.put(archive((entry("a"), os.urandom(1000))), 100)
    with pytest.raises(errors.BadInput, match="not gzip"):
        sources.put(io.BytesIO(b"PK\3\4 a zip file"), LIMIT)
    with pytest.raises(errors.BadInput, match="no tar"):
        sources.put(io.BytesIO(gzip.compress(b"hello " * 200)), LIMIT)
    assert list((tmp_path / "sources").iterdir()) == []


def test_a_digest_is_never_a_path(sources: SourceFolder) -> None:
    for digest in ("../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "/.."):
        with pytest.raises(errors.BadInput):
            sources.delete(digest)


class _DiskFull(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named(sources: SourceFolder, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable, match="disk of the platform is full"):
        sources.put(_DiskFull(), LIMIT)  # type: ignore[arg-type]
    assert list((tmp_path / "sources").iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_and_those_of_living_ones_not(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # a process that is killed in the middle of a put

        class Slow(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                os.write(ready[1], b"1")
                os.read(go[0], 1)
                return b""

        try:
            SourceFolder(folder).put(Slow(), LIMIT)  # type: ignore[arg-type]
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    SourceFolder(folder)
    assert len(list(folder.iterdir())) == 2
    os.kill(child, 9)
    os.waitpid(child, 0)
    SourceFolder(folder)
    assert list(folder.iterdir()) == []
