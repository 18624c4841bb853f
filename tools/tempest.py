# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own tests of Magnum against a one-machine platform: `make test-tempest`.

Runs the tests of magnum-tempest-plugin that need no Kubernetes cluster, unmodified, in an environment of their own.
They make keypairs with Nova first. No test looks at one, so the catalog gets a service that keeps nothing but names.
"""

from __future__ import annotations

import configparser
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping

import flask
import openstack
from werkzeug.serving import make_server

from tools.bench.platform import Platform

BIN = pathlib.Path(__file__).resolve().parents[1] / ".venv-tempest" / "bin"
MAGNUM = {
    "magnum": {
        "image_id": "node",
        "flavor_id": "small",
        "master_flavor_id": "small",
        "nic_id": "public",
        "copy_logs": "false",
    }
}


def keypairs() -> flask.Flask:
    """Return Nova's keypairs, as far as clients see them who only make and delete them."""
    app = flask.Flask("keypairs")
    known: set[str] = set()

    @app.post("/v2.1/os-keypairs")
    def create() -> Mapping[str, object]:
        name = flask.request.get_json()["keypair"]["name"]
        known.add(name)
        return {
            "keypair": {
                "name": name,
                "public_key": "ssh-rsa AAAA",
                "private_key": "none",
                "fingerprint": "0",
                "user_id": "0",
            }
        }

    @app.delete("/v2.1/os-keypairs/<name>")
    def delete(name: str) -> tuple[str, int]:
        found = name in known
        known.discard(name)
        return "", 202 if found else 404

    return app


def register(cloud: openstack.connection.Connection, url: str) -> None:
    """Put the keypairs into the catalog as the compute service."""
    service = cloud.identity.create_service(name="nova", type="compute")
    for interface in ("public", "internal", "admin"):
        cloud.identity.create_endpoint(
            service_id=service.id, interface=interface, region_id=cloud.config.region_name, url=url
        )


Sections = dict[str, dict[str, str]]


def base(cloud: openstack.connection.Connection, lock: pathlib.Path, available: Collection[str]) -> Sections:
    """Return the sections of tempest.conf that any cloud needs; its administrator makes the users of tests."""
    auth = cloud.config.get_auth_args()
    services = ("nova", "glance", "neutron", "cinder", "swift", "horizon", "heat", "magnum")
    return {
        "auth": {
            "admin_username": auth["username"],
            "admin_password": auth["password"],
            "admin_project_name": auth["project_name"],
            "admin_domain_name": "Default",
            "use_dynamic_credentials": "true",
            "tempest_roles": "member",
            "create_isolated_networks": "false",
        },
        "identity": {"auth_version": "v3", "uri_v3": auth["auth_url"], "region": cloud.config.region_name},
        "oslo_concurrency": {"lock_path": str(lock)},
        "service_available": {name: str(name in available).lower() for name in services},
    }


def write(path: pathlib.Path, sections: Sections) -> None:
    """Write tempest.conf, which has a password in it."""
    written = configparser.ConfigParser(interpolation=None)
    written.read_dict(sections)
    path.touch(mode=0o600)
    path.chmod(0o600)
    with path.open("w") as file:
        written.write(file)


def workspace(folder: pathlib.Path) -> pathlib.Path:
    """Make a workspace of tempest in the folder; return it."""
    made = folder / "workspace"
    words = ["--workspace-path", folder / "workspaces.yaml", made]
    subprocess.run([BIN / "tempest", "init", *words], check=True, cwd=folder)
    return made


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Which tests are run, and how many of them must pass at least; others skip themselves."""

    tests: str
    exclude: str
    expected: int


def run(folder: pathlib.Path, chosen: Chosen) -> int:
    """Run the tests one after the other; return 0 if none fails, and as many pass as are expected to."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    words = ["--serial", "--regex", chosen.tests, "--exclude-regex", chosen.exclude]
    done = subprocess.run([BIN / "tempest", "run", *words], cwd=folder, env=environment, check=False)
    subunit = subprocess.run(
        [BIN / "stestr", "last", "--subunit"], cwd=folder, env=environment, capture_output=True, check=True
    )
    told = subprocess.run(
        [BIN / "subunit-stats"], input=subunit.stdout, capture_output=True, env=environment, check=False
    )
    found = re.search(rb"Passed tests:\s*(\d+)", told.stdout)
    passed = int(found[1]) if found else 0
    print(f"{passed} tests passed, {chosen.expected} were expected to at least")
    return done.returncode or int(passed < chosen.expected)


NEED_KUBERNETES = r"test_create_list_sign_delete_clusters|test_create_cluster_with_zero_nodes"
CHOSEN = Chosen(r"magnum_tempest_plugin\.tests\.api\.v1\.test_", NEED_KUBERNETES, 28)


def main() -> int:
    """Bring a platform up, run the tests against it, and take it down."""
    with tempfile.TemporaryDirectory(prefix="sytempest-") as name, Platform(name) as platform:
        folder = workspace(pathlib.Path(name))
        os.environ.update(platform.environment)
        cloud = openstack.connect(cloud="stackyard-admin")
        server = make_server("127.0.0.1", 0, keypairs(), threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        register(cloud, f"http://127.0.0.1:{server.server_port}/v2.1")
        write(folder / "etc" / "tempest.conf", {**base(cloud, folder / "locks", ["magnum"]), **MAGNUM})
        return run(folder, CHOSEN)


if __name__ == "__main__":
    sys.exit(main())
