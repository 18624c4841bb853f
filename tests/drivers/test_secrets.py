# SPDX-License-Identifier: Apache-2.0
"""The Fernet secrets: sealed, opened, refused with another key, readable by the owner only."""

import pathlib
import stat
import threading

import pytest
from cryptography.fernet import Fernet

from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model import errors


@pytest.fixture
def key(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "secrets" / "fernet.key"
    ensure_key(path)
    return path


@pytest.mark.parametrize("clear", ["", "hunter2", "ключ 🔑\n" * 1000])
def test_what_is_sealed_can_be_opened_and_is_not_readable(key: pathlib.Path, clear: str) -> None:
    secrets = FernetSecrets(key)
    sealed = secrets.seal(clear)
    assert FernetSecrets(key).open(sealed) == clear
    assert sealed != secrets.seal(clear)
    assert not clear or clear not in sealed


def test_another_key_and_a_changed_text_are_refused(key: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other.key"
    ensure_key(other)
    sealed = FernetSecrets(key).seal("x")
    for wrong in (sealed[:-3], "", "not base64 !"):
        with pytest.raises(errors.GiveUp, match="another key"):
            FernetSecrets(key).open(wrong)
    with pytest.raises(errors.GiveUp, match="another key"):
        FernetSecrets(other).open(sealed)


def test_an_old_key_still_opens_after_a_new_one_was_put_before_it(key: pathlib.Path) -> None:
    sealed = FernetSecrets(key).seal("kept")
    key.write_bytes(Fernet.generate_key() + b"\n" + key.read_bytes())
    assert FernetSecrets(key).open(sealed) == "kept"


def test_key_file_is_private_and_is_never_replaced(key: pathlib.Path) -> None:
    first = key.read_bytes()
    threads = [threading.Thread(target=ensure_key, args=(key,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert key.read_bytes() == first
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["fernet.key"]


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_no_key_says_what_to_do(tmp_path: pathlib.Path, content: bytes | None) -> None:
    path = tmp_path / "k"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.Unavailable, match="stackyard up"):
        FernetSecrets(path)
