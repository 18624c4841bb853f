# SPDX-License-Identifier: Apache-2.0
"""The packages of OpenStack as they are read, and the secrets that are made for them."""

from __future__ import annotations

import pathlib
import re

import pytest
from cryptography.fernet import Fernet

from stackyard.cli.openstack import clouds, packages, secrets
from stackyard.drivers.builders import compose
from stackyard.drivers.files import templates
from stackyard.local import recipes, stacks
from stackyard.model.applications import AppSpec, Stage

NOT_SECRET = {"identity": {"API_URL", "REGION"}, "openstack": {"API_URL", "REGION", "STACKYARD_URL"}}


@pytest.fixture(scope="module", params=packages.NAMES)
def package(request: pytest.FixtureRequest) -> pathlib.Path:
    return packages.ROOT / str(request.param)


@pytest.fixture(scope="module")
def spec(package: pathlib.Path) -> AppSpec:
    return compose.parse((package / "compose.yaml").read_text(), lambda path: (package / path).read_text())


def test_every_value_that_files_need_is_made_or_derived(spec: AppSpec, package: pathlib.Path) -> None:
    asked = {key for file in spec.files for key in templates.keys(file.text, file.name)}
    made = set(secrets.needed(package / "compose.yaml"))
    assert asked == made | NOT_SECRET[package.name]


def test_no_secret_stands_in_the_environment_or_in_arguments(spec: AppSpec) -> None:
    words = [word for service in spec.services for word in (*service.environment.values(), *(service.command or ()))]
    assert not [word for word in words if "$" in word]


def test_every_image_is_one_that_the_platform_makes(spec: AppSpec) -> None:
    assert {service.image for service in spec.services} <= {f"stackyard/{name}" for name in stacks.NAMES}


def test_all_services_of_openstack_run_from_one_image(spec: AppSpec, package: pathlib.Path) -> None:
    names = re.compile(r"keystone|glance|nova|neutron|heat|horizon|placement|schema|expand|contract|check")
    assert {service.image for service in spec.services if names.match(service.name)} == {f"stackyard/{package.name}"}


def test_the_gateway_leads_to_each_api_that_there_is(spec: AppSpec, package: pathlib.Path) -> None:
    config = (package / "etc" / "haproxy.cfg").read_text()
    led = set(re.findall(r"server-template \S+ \d+ (\S+)", config))
    apart = {packages.GATEWAY, "db", spec.registry}
    assert led == {f"{each.name}:{each.port}" for each in spec.services if each.port and each.name not in apart}


def test_the_database_has_three_members_and_one_writer(spec: AppSpec, package: pathlib.Path) -> None:
    database = next(service for service in spec.services if service.name == "database")
    servers = re.findall(r"server (\S+) (\S+):3306(.*)", (package / "etc" / "db.cfg").read_text())
    assert database.group
    assert [name for name, _, _ in servers] == [f"database-{number + 1}" for number in range(database.replicas)]
    assert ["backup" in rest.split() for _, _, rest in servers] == [False, True, True]
    for path in package.glob("etc/*.conf"):
        assert "@database/" not in path.read_text(), f"{path.name} leads around the one writer"


def test_stages_begin_expand_contract_and_check_the_same_services(spec: AppSpec) -> None:
    found = {service.stage: service.command for service in spec.services if service.name != "catalog"}
    schema = {stage: list(found[stage] or ()) for stage in (Stage.INIT, Stage.PRE_UPGRADE, Stage.POST_UPGRADE)}
    assert [words[1] for words in schema.values()] == ["init", "expand", "contract"]
    assert len({tuple(words[2:]) for words in (*schema.values(), ["", *(found[Stage.CHECK] or ())])}) == 1


def test_what_both_packages_have_is_the_same_in_both() -> None:
    whole, small = (packages.ROOT / name / "etc" for name in packages.NAMES)
    for name in ("keystone.conf", "clouds.yaml", "db.cfg"):
        assert (small / name).read_text() == (whole / name).read_text()


def test_the_small_image_is_the_first_layer_of_the_whole_one() -> None:
    whole, small = ((recipes.FOLDER / name / "Dockerfile").read_text() for name in packages.NAMES)
    first = whole[whole.index("FROM ") : whole.index("RUN apt-get")]
    assert first in small


def test_secrets_are_new_each_time_and_keys_are_keys() -> None:
    names = ["FERNET_KEY_0", "ADMIN_PASSWORD", "HEAT_ENCRYPTION_PASSPHRASE"]
    one, other = secrets.made(names), secrets.made(names)
    assert not set(one.values()) & set(other.values())
    assert Fernet(one["FERNET_KEY_0"]).decrypt(Fernet(one["FERNET_KEY_0"]).encrypt(b"x")) == b"x"
    assert len(one["HEAT_ENCRYPTION_PASSPHRASE"]) == 32


def test_the_cloud_is_added_beside_others_and_taken_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds: {mine: {region_name: here}}\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    clouds.write("http://127.0.0.1/identity/v3", "word", "RegionOne")
    assert clouds.known("http://127.0.0.1/identity/v3")
    assert not clouds.known("http://192.0.2.1/identity/v3")
    assert file.stat().st_mode & 0o777 == 0o600
    clouds.forget()
    assert file.read_text().split() == ["clouds:", "mine:", "region_name:", "here"]
