# SPDX-License-Identifier: Apache-2.0
"""Which mirrors the host's apt sources name, and what the relay leads to them."""

from __future__ import annotations

import pathlib

import pytest

from stackyard.local.apt_relay import Mirrors, host_mirrors
from stackyard.local.apt_route import UNREACHABLE

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/v.gpg] https://vendor.example/linux/debian bookworm stable
deb https://sql.example/apt bookworm-pgdg main
deb [trusted=yes] https://mirror.example/debian/ bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """\
Types: deb
URIs: https://vendor.example/debian
Suites: nodistro
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb deb-src
URIs: http://site.example/mirror/debian
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://site.example/mirror/security
Suites: trixie-security
Components: main
"""


def test_one_line_format(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert host_mirrors(tmp_path) == Mirrors("https://mirror.example/debian/", "http://mirror.example/debian-security")


def test_deb822_format(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert host_mirrors(tmp_path) == Mirrors("http://site.example/mirror/debian", "http://site.example/mirror/security")


def test_host_without_debian_names_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://archive.example/ubuntu jammy main\n")
    assert host_mirrors(tmp_path) == Mirrors()


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/debian/dists/bookworm/InRelease", "http://m.example/deb/dists/bookworm/InRelease"),
        ("/debian-security/pool/x.deb", "http://m.example/sec/pool/x.deb"),
        ("/ubuntu/pool/x.deb", None),
        ("/debian/../../etc/passwd", None),
        ("/", None),
    ],
)
def test_only_debians_archives_are_led_on(path: str, url: str | None) -> None:
    assert Mirrors("http://m.example/deb/", "http://m.example/sec").resolve(path) == url


@pytest.mark.parametrize(
    "line",
    [
        "E: Unable to locate package haproxy",
        "Err:1 http://a bookworm InRelease\n  Temporary failure resolving 'a'",
        "E: Failed to fetch http://a/b.deb  Could not connect to a:80",
    ],
)
def test_words_of_apt_that_mean_unreachable(line: str) -> None:
    assert UNREACHABLE.search(line)


def test_other_failures_are_not_retried() -> None:
    assert not UNREACHABLE.search("The command '/bin/sh -c false' returned a non-zero code: 1")
