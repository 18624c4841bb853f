# SPDX-License-Identifier: Apache-2.0
"""The vault of backups: what comes back is what was kept, whatever is done to its files; whole or not at all."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterator

import pytest

from stackyard.drivers.backups.folder import MIB, FolderVault
from stackyard.drivers.backups.sealing import FRAME, MAGIC
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model import errors

APP, BACKUP = "a" * 36, "b" * 36
SIZES = (0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 17)


@pytest.fixture
def vault(tmp_path: pathlib.Path) -> FolderVault:
    return made(tmp_path)


def made(folder: pathlib.Path, megabytes: int = 64, reserve: int = 0) -> FolderVault:
    ensure_key(folder / "key")
    return FolderVault(folder / "backups", FernetSecrets(folder / "key"), megabytes, reserve)


def pieces(data: bytes, length: int = 70_000) -> Iterator[bytes]:
    for at in range(0, len(data), length):
        yield data[at : at + length]


def file_of(folder: pathlib.Path) -> pathlib.Path:
    return folder / "backups" / APP / BACKUP


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [each for each in (folder / "backups").rglob("*") if each.is_file()]


@pytest.mark.parametrize("size", SIZES)
def test_what_comes_back_is_what_was_kept(vault: FolderVault, tmp_path: pathlib.Path, size: int) -> None:
    data = os.urandom(size)
    kept = vault.write(APP, BACKUP, pieces(data))
    assert (kept.size, kept.digest) == (size, hashlib.sha256(data).hexdigest())
    assert kept.stored == file_of(tmp_path).stat().st_size
    assert b"".join(vault.read(APP, BACKUP)) == data
    assert vault.has(APP, BACKUP)


def test_nothing_of_it_can_be_read_on_the_disk(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    vault.write(APP, BACKUP, [b"INSERT INTO users VALUES ('swordfish');" * 1000])
    assert b"swordfish" not in file_of(tmp_path).read_bytes()
    assert file_of(tmp_path).stat().st_mode & 0o077 == 0
    assert file_of(tmp_path).stat().st_size < 2000  # compressed before it is sealed


def test_every_change_is_found(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    vault.write(APP, BACKUP, [os.urandom(2 * FRAME + 5000)])
    whole = file_of(tmp_path).read_bytes()
    first = whole.index(b"\n") + 1
    for at in (0, first, first + 40, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[at] ^= 1
        file_of(tmp_path).write_bytes(changed)
        with pytest.raises(errors.GiveUp, match="changed or cut off"):
            list(vault.read(APP, BACKUP))
    for end in (0, 5, first + 10, len(whole) - 1, len(whole) // 2):
        file_of(tmp_path).write_bytes(whole[:end])
        with pytest.raises(errors.GiveUp, match="changed or cut off"):
            list(vault.read(APP, BACKUP))


def test_a_frame_can_not_be_left_out_or_moved(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    vault.write(APP, BACKUP, [os.urandom(3 * FRAME)])
    whole = file_of(tmp_path).read_bytes()
    head = len(MAGIC) + 2 + int.from_bytes(whole[len(MAGIC) : len(MAGIC) + 2], "big")
    begin, frames_there = whole[:head], []
    left = whole[head:]
    while left:
        end = 4 + int.from_bytes(left[:4], "big")
        frames_there.append(left[:end])
        left = left[end:]
    one, two, rest = frames_there
    for frames in ((one, rest), (two, one, rest), (one, two), (one, one, two, rest)):
        file_of(tmp_path).write_bytes(begin + b"".join(frames))
        with pytest.raises(errors.GiveUp):
            list(vault.read(APP, BACKUP))


def test_what_shrinks_to_nothing_comes_back_piece_by_piece(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    kept = vault.write(APP, BACKUP, (bytes(FRAME) for _ in range(50)))
    assert kept.stored < FRAME
    assert max(len(piece) for piece in vault.read(APP, BACKUP)) == FRAME
    assert sum(len(piece) for piece in vault.read(APP, BACKUP)) == 50 * FRAME


def test_another_platforms_file(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    vault.write(APP, BACKUP, [b"x"])
    (tmp_path / "key").unlink()
    with pytest.raises(errors.GiveUp, match="platform's key"):
        list(made(tmp_path).read(APP, BACKUP))


def test_what_breaks_off_leaves_nothing(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    def broken() -> Iterator[bytes]:
        yield os.urandom(2 * FRAME)
        raise errors.GiveUp("the command failed")

    with pytest.raises(errors.GiveUp, match="the command failed"):
        vault.write(APP, BACKUP, broken())
    assert files(tmp_path) == []
    vault.write(APP, BACKUP, [b"first"])
    with pytest.raises(errors.GiveUp):
        vault.write(APP, BACKUP, broken())
    assert b"".join(vault.read(APP, BACKUP)) == b"first"


def test_drafts_of_those_that_were_killed_go(vault: FolderVault, tmp_path: pathlib.Path) -> None:
    vault.write(APP, "other", [b"x"])
    draft = file_of(tmp_path).with_name(f".{BACKUP}.killed")
    draft.write_bytes(b"half")
    assert vault.has(APP, BACKUP)
    vault.write(APP, BACKUP, [b"again"])
    assert not draft.exists()
    vault.delete(APP, BACKUP)
    vault.delete(APP, BACKUP)
    assert not vault.has(APP, BACKUP)
    assert len(files(tmp_path)) == 1
    vault.delete(APP)
    vault.delete(APP)
    assert files(tmp_path) == []
    with pytest.raises(errors.GiveUp, match="is gone"):
        list(vault.read(APP, "other"))


def test_an_application_has_its_limit(tmp_path: pathlib.Path) -> None:
    vault = made(tmp_path, megabytes=3)
    vault.write(APP, "one", [os.urandom(MIB)])
    with pytest.raises(errors.GiveUp, match="more than 3 MiB"):
        vault.write(APP, "two", pieces(os.urandom(3 * MIB)))
    assert [each.name for each in files(tmp_path)] == ["one"]
    vault.write("other", "two", pieces(os.urandom(2 * MIB)))
    vault.write(APP, "one", pieces(os.urandom(2 * MIB)))  # what it replaces does not count


def test_the_platform_keeps_some_of_the_disk(tmp_path: pathlib.Path) -> None:
    vault = made(tmp_path, reserve=1 << 60)
    with pytest.raises(errors.GiveUp, match="disk is full"):
        vault.write(APP, BACKUP, [b"x"])
    assert files(tmp_path) == []
