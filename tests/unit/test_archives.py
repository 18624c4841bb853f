# SPDX-License-Identifier: Apache-2.0
"""The check of uploaded bytes, and the rules for git addresses: pure, so tested without files."""

import gzip
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.sources.checks import GzipTarCheck
from stackyard.model import errors
from stackyard.model.sources import check_repository, check_revision, without_password


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def check(data: bytes, piece: int = 1000, **options: int) -> None:
    checker = GzipTarCheck(**options)
    for start in range(0, len(data), piece):
        checker.feed(data[start : start + piece])
    checker.finish()


@given(st.dictionaries(st.sampled_from(["a", "b/c", "d"]), st.binary(max_size=3000)), st.integers(1, 5000))
def test_a_gzipped_tar_passes_in_pieces_of_any_size(files: dict[str, bytes], piece: int) -> None:
    check(gzip.compress(tar_of(**files)), piece)


def test_several_gzip_members_and_padding_pass() -> None:
    data = tar_of(a=b"x" * 5000)
    check(gzip.compress(data[:700]) + gzip.compress(data[700:]) + b"\0" * 300)


@given(st.binary(max_size=2000))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(errors.BadInput):
        check(data)


@given(st.binary(min_size=512, max_size=2000).filter(lambda data: data[:512].strip(b"\0")))
def test_gzip_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(errors.BadInput, match="no tar archive"):
        check(gzip.compress(data))


@given(st.integers(1, 60))
def test_a_cut_archive_is_refused(missing: int) -> None:
    with pytest.raises(errors.BadInput):
        check(gzip.compress(tar_of(a=b"12345" * 300))[:-missing])


def test_a_bomb_is_refused_long_before_it_is_unpacked() -> None:
    bomb = gzip.compress(tar_of(a=b"\0" * 20_000_000))
    with pytest.raises(errors.TooLarge, match="unpacks to more than"):
        check(bomb, max_unpacked=5_000_000)


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("https://example.org/a.git", "https"),
        ("http://127.0.0.1:8000/a", "http"),
        ("ssh://git@example.org:2222/a.git", "ssh"),
        ("git://example.org/a", "git"),
        ("git@example.org:team/a.git", "ssh"),
        ("https://[::1]:8443/a", "https"),
    ],
)
def test_network_transports_are_allowed(url: str, transport: str) -> None:
    assert check_repository(url) == transport


@pytest.mark.parametrize(
    "url",
    [
        *("ext::sh -c id", "ext::sh", "fd::17", "file:///etc", "/srv/a.git", "./a", "../a", "a", "", "-u", "http:///a"),
        *("--upload-pack=touch /tmp/x", "--upload-pack=x:y", "ssh://-oProxyCommand=x/a", "ssh://-o@example.org/a"),
        *("git@-oProxyCommand=x:a", "git@example.org:-a", "https://example.org", "ftp://example.org/a"),
        *("https://example.org/a\nb", "https://example.org/a b", "git+ssh://example.org/a", "https://h:port/a"),
        "https://example.org/" + "a" * 3000,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(errors.BadInput):
        check_repository(url)


@given(st.text(max_size=60))
def test_no_text_is_accepted_that_git_could_take_for_an_option_or_a_path(url: str) -> None:
    try:
        transport = check_repository(url)
    except errors.BadInput:
        return
    assert transport in ("https", "http", "ssh", "git")
    assert not url.startswith(("-", "/", "."))
    assert "::" not in url.split("/", maxsplit=1)[0].replace("[::", "")


@pytest.mark.parametrize("revision", ["", "main", "v1.0", "feature/x", "release-1.2", "a" * 40, "fix#12"])
def test_revisions(revision: str) -> None:
    check_revision(revision)


@pytest.mark.parametrize("revision", ["-x", "--all", "a b", "a..b", "@{1}", "a:b", "a^", "a~1", "x" * 300, "a\n", "/a"])
def test_revisions_that_git_may_misread(revision: str) -> None:
    with pytest.raises(errors.BadInput):
        check_revision(revision)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org/a", "https://***@example.org/a"),
        ("https://secret@example.org/a", "https://***@example.org/a"),
        ("ssh://git:secret@example.org/a", "ssh://git:***@example.org/a"),
        ("ssh://git@example.org/a", "ssh://git@example.org/a"),
        ("git@example.org:a", "git@example.org:a"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_refusals_show_no_password() -> None:
    for url in ("https://user:secret@/a", "ftp://user:secret@h/a", "https://user:se/cret@h/a", "https://u:secret@h"):
        with pytest.raises(errors.BadInput) as refusal:
            check_repository(url)
        assert "secret" not in str(refusal.value)
        assert "cret@" not in str(refusal.value)
