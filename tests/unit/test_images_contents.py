# SPDX-License-Identifier: Apache-2.0
"""Which packages an image has: what dpkg's file tells, what a recipe asks for by name, what two images differ in."""

from __future__ import annotations

import pytest

from stackyard.local import contents, recipes

STATUS = """\
Package: keystone
Status: install ok installed
Priority: optional
Version: 2:27.0.0-3+deb13u1
Description: identity
 Version: 9 is no field

Package: gone
Status: deinstall ok config-files
Version: 1.0-1

Package: tini
Status: install ok installed
Version: 0.19.0-3
"""
DOCKERFILE = """\
FROM stackyard/base
RUN apt-get update -qq \\
    && apt-get install -y -qq --no-install-recommends keystone \\
        tini python3-keystone \\
    && rm -rf /var/lib/apt/lists/*
RUN apt-get install -y tini; true
"""


def test_installed_packages_are_told_with_their_versions() -> None:
    assert dict(contents._debian(STATUS)) == {"keystone": "2:27.0.0-3+deb13u1", "tini": "0.19.0-3"}


def test_a_recipe_names_the_packages_it_asks_for() -> None:
    names = contents.named(DOCKERFILE, "# pinned\nkeystone==27.1.0\nPyMySQL\n")
    assert names == ["pypi:keystone", "keystone", "tini", "python3-keystone"]
    found = {"keystone": "2:27.0.0-3", "tini": "0.19.0-3", "pypi:keystone": "27.1.0", "libc6": "2.41"}
    assert contents.versions(found, names[1:]) == {"keystone": "27.0.0", "tini": "0.19.0"}
    assert contents.versions(found, names[:1]) == {"keystone": "27.1.0"}


def test_each_image_of_openstack_names_its_services() -> None:
    for name in ("openstack", "openstack-source"):
        folder = recipes.FOLDER / name
        asked = "\n".join(path.read_text() for path in folder.glob("requirements-*.txt"))
        names = {each.removeprefix("pypi:") for each in contents.named((folder / "Dockerfile").read_text(), asked)}
        assert {"keystone", "uwsgi-core"} <= names


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1:24.0.0-2", "24.0.0"), ("3:25.3.0-3+deb13u1", "25.3.0"), ("2.8.2+ds1-1", "2.8.2+ds1"), ("1.0-a-2", "1.0-a")],
)
def test_upstreams_version(version: str, expected: str) -> None:
    assert contents.upstream(version) == expected


def test_what_two_images_differ_in() -> None:
    one, other = {"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}
    assert contents.difference(one, other) == {"b": ("1", "2"), "c": ("1", ""), "d": ("", "1")}
    assert contents.difference(one, one) == {}
