# SPDX-License-Identifier: Apache-2.0
"""What the options say of images, flavors and networks, and how requests name them."""

from __future__ import annotations

import pathlib

import pytest
from oslo_config import cfg

from stackyard import conf
from stackyard.intents import Rules
from stackyard.model import errors, offers
from stackyard.model.offers import Flavor, Image, Network


def options(folder: pathlib.Path, **machines: str) -> cfg.ConfigOpts:
    file = folder / "stackyard.conf"
    file.write_text("[machines]\n" + "".join(f"{name} = {value}\n" for name, value in machines.items()))
    return conf.load(file)


def test_offers_are_what_the_options_say(tmp_path: pathlib.Path) -> None:
    found = Rules.read(
        options(
            tmp_path,
            images="node, newer:trixie",
            flavors="tiny:0.5:256 ,big:0:0",
            networks="private,out:external",
        )
    ).offers
    assert found.images == (Image("node", "debian"), Image("newer", "trixie"))
    assert found.flavors == (Flavor("tiny", 0.5, 256), Flavor("big", 0, 0))
    assert found.networks == (Network("private"), Network("out", external=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flavors", "small:1"),
        ("flavors", "small:x:1"),
        ("flavors", "small:1:1:1"),
        ("flavors", "a:1:1,,b:1:1"),
        ("images", "a b"),
        ("images", "../a"),
        ("networks", "public:outside"),
        ("client_certificate_hours", "0"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_start(tmp_path: pathlib.Path, name: str, value: str) -> None:
    read = options(tmp_path, **{name: value})
    with pytest.raises(cfg.ConfigFileValueError):
        getattr(read.machines, name)


def test_an_offer_has_one_id_everywhere_and_another_than_its_neighbours() -> None:
    assert Image("node").id == Image("node", "other").id
    assert len({Image("a").id, Flavor("a").id, Network("a").id, Image("b").id}) == 4
    known = (Image("node"), Image("newer"))
    for word in (Image("newer").id, "newer", "stackyard-newer"):
        assert offers.find(known, word, "image").name == "newer"
    with pytest.raises(errors.BadInput, match="image 'none' is not known here; there are: node, newer"):
        offers.find(known, "none", "image")


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("drain_seconds", "0", True),
        ("drain_seconds", "-1", False),
        ("drain_seconds", "1.5", False),
        ("auto_healing_enabled", "True", True),
        ("auto_healing_enabled", "yes", False),
        ("example.org/any", "thing", True),
        ("drain-seconds", "1", False),
    ],
)
def test_labels_of_swarm(name: str, value: str, good: bool) -> None:
    if good:
        offers.check_labels(offers.SWARM_LABELS, {name: value})
        return
    with pytest.raises(errors.BadInput, match=f"label {name} "):
        offers.check_labels(offers.SWARM_LABELS, {name: value})
