# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own tests against the OpenStack that `stackyard openstack deploy` deploys: `make test-tempest-openstack`.

All of identity v3 that needs no administrator, the smoke tests of image and network, and Heat's own tests of its API.
With `--here` they are asked of the cloud `openstack` that this shell knows, instead of one that is deployed for them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import sys
import tempfile
from collections.abc import Iterator

import openstack

from tools import tempest
from tools.bench.platform import Platform

CLOUD = "openstack"
SMOKE = r"tempest\.api\.(image|network)\..*\bsmoke\b"
CHOSEN = tempest.Chosen(rf"tempest\.api\.identity\.v3\.|{SMOKE}|heat_tempest_plugin\.tests\.api", "^$", 105)
MEMBER = "tempest-member"


@contextlib.contextmanager
def deployed(folder: str, *, here: bool) -> Iterator[openstack.connection.Connection]:
    """Give the administrator's connection to OpenStack: this shell's, or one deployed while the block runs."""
    if here:
        yield openstack.connect(cloud=CLOUD)
        return
    with Platform(folder) as platform:
        os.environ.update(platform.environment)
        platform.run("openstack", "deploy")
        yield openstack.connect(cloud=CLOUD)


def member(cloud: openstack.connection.Connection) -> dict[str, str]:
    """Have a project with an ordinary member; return how Heat's tests log in as that one."""
    password = secrets.token_urlsafe(16)
    keystone = cloud.identity
    project = keystone.find_project(MEMBER) or keystone.create_project(name=MEMBER, domain_id="default")
    user = keystone.find_user(MEMBER) or keystone.create_user(name=MEMBER, domain_id="default")
    keystone.update_user(user, password=password)
    keystone.assign_project_role_to_user(project, user, keystone.find_role("member"))
    return {"username": MEMBER, "password": password, "project_name": MEMBER}


def sections(cloud: openstack.connection.Connection, lock: pathlib.Path) -> tempest.Sections:
    """Return tempest.conf: what the deployed services offer is asked of them."""
    auth = cloud.config.get_auth_args()
    extensions = sorted(each.alias for each in cloud.network.extensions())
    heat = {
        **member(cloud),
        "admin_username": auth["username"],
        "admin_password": auth["password"],
        "auth_url": auth["auth_url"],
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region": cloud.config.region_name,
    }
    return {
        **tempest.base(cloud, lock, ["nova", "glance", "neutron", "heat"]),
        "network-feature-enabled": {"api_extensions": ",".join(extensions)},
        "heat_plugin": heat,
    }


def main(arguments: list[str]) -> int:
    """Have a cloud, run the tests against it, and take it down if it was made for them."""
    with (
        tempfile.TemporaryDirectory(prefix="sytempest-") as name,
        deployed(name, here=arguments == ["--here"]) as cloud,
    ):
        folder = tempest.workspace(pathlib.Path(name))
        tempest.write(folder / "etc" / "tempest.conf", sections(cloud, folder / "locks"))
        return tempest.run(folder, CHOSEN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
