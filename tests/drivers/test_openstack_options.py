# SPDX-License-Identifier: Apache-2.0
"""What packages say of the options of OpenStack's services is what the programs in the image say."""

from __future__ import annotations

import json
import pathlib

import docker
import pytest

from stackyard.drivers.files import options
from stackyard.model import errors
from tools import openstack_options

FILES = sorted(openstack_options.PACKAGES.glob("*/options/*.json"))


@pytest.mark.engine
@pytest.mark.openstack
@pytest.mark.timeout(900)
def test_the_packages_know_the_options_of_their_image() -> None:
    told = openstack_options.of_image(docker.from_env(), "sytest-openstack-options")
    assert told.keys() == {file.name for file in FILES}
    for file in FILES:
        assert file.read_text() == told[file.name], f"{file}: run python -m tools.openstack_options"


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parts[-3]}-{file.stem}" for file in FILES])
def test_what_is_known_fits_into_a_release(file: pathlib.Path) -> None:
    known = options.reduced(json.loads(file.read_text()), file.name)
    assert len(known) < 16_000
    options.check(known, "[DEFAULT]\ndebug = true\n", "own")
    with pytest.raises(errors.BadInput, match=r"debug is no boolean value|debugg is not known; did you mean debug"):
        options.check(known, "[DEFAULT]\ndebugg = true\n", "own")


def test_stores_of_glance_have_names_that_operators_choose() -> None:
    [file] = [file for file in FILES if file.stem == "glance"]
    known = options.reduced(json.loads(file.read_text()), "glance")
    options.check(known, "[fast]\nfilesystem_store_datadir = /var/lib/glance/fast\n", "own")
    with pytest.raises(errors.BadInput, match="filesystem_store_datadri is not known"):
        options.check(known, "[fast]\nfilesystem_store_datadri = /var/lib/glance/fast\n", "own")
