#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes databases and schemas of the services that are named, all at the same time, and Keystone's first account.

A release stage of the package `openstack`. Doing it again changes nothing but what is new in the release. Where the
databases are, and as whom they are used, is read from the services' own configuration.
"""

import concurrent.futures
import configparser
import dataclasses
import os
import pathlib
import subprocess
import sys
import time

import pymysql
import yaml
from sqlalchemy.engine import make_url

CATALOG = pathlib.Path("/etc/openstack/catalog.yaml")
PATIENCE_SECONDS = 90
ACCESS = "{scheme}://{username}:{password}@{hostname}"
"""Nova's own words for what its configuration says, so that no password becomes an argument or is kept twice."""


@dataclasses.dataclass(frozen=True)
class Schema:
    """A service's configuration, the sections that name databases, further databases, and what fills them in order."""

    conf: str
    sections: tuple[str, ...]
    commands: tuple[str, ...]
    further: tuple[str, ...] = ()


SCHEMAS = {
    "keystone": Schema(
        "keystone/keystone.conf", ("database",), ("keystone-manage db_sync", "keystone-manage bootstrap")
    ),
    "placement": Schema("placement/placement.conf", ("placement_database",), ("placement-manage db sync",)),
    "glance": Schema("glance/glance-api.conf", ("database",), ("glance-manage db_sync",)),
    "neutron": Schema(
        "neutron/neutron.conf",
        ("database",),
        ("neutron-db-manage --config-file /etc/neutron/neutron.conf upgrade heads",),
    ),
    "heat": Schema("heat/heat.conf", ("database",), ("heat-manage db_sync",)),
    "nova": Schema(
        "nova/nova.conf",
        ("api_database", "database"),
        (
            "nova-manage api_db sync",
            f"nova-manage cell_v2 map_cell0 --database_connection {ACCESS}/nova_cell0",
            f"nova-manage cell_v2 create_cell --name cell1 --database_connection {ACCESS}/nova"
            f" --transport-url {ACCESS}:{{port}}/",
            "nova-manage db sync",
        ),
        ("nova_cell0",),
    ),
}
REPEATED = {"nova-manage cell_v2 create_cell": 2}
"""Exit codes that say that it was done before."""


def main(services: list[str]) -> None:
    """Do all that is to be done; ends with an error that names the step."""
    began = time.monotonic()
    urls = {service: connections(SCHEMAS[service]) for service in services}
    make_databases(urls)
    tell("databases", began)
    with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
        for done in [pool.submit(fill, service, began) for service in services]:
            done.result()


def tell(what: str, began: float) -> None:
    """Say what is done, with the seconds since the start."""
    print(f"{what}: done at {time.monotonic() - began:.1f} s", flush=True)


def connections(schema: Schema) -> list:
    """Return the database URLs in a service's configuration."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(pathlib.Path("/etc") / schema.conf)
    return [make_url(parser[section]["connection"]) for section in schema.sections]


def secret(name: str) -> str:
    """Return what the file that the variable names holds."""
    return pathlib.Path(os.environ[name]).read_text().rstrip("\n")


def connected(host: str) -> pymysql.Connection:
    """Return a connection as root, once the database answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return pymysql.connect(host=host, user="root", password=secret("DATABASE_PASSWORD_FILE"))
        except pymysql.err.OperationalError as error:
            if time.monotonic() > until:
                sys.exit(f"the database does not answer: {error}")
            time.sleep(0.3)


def make_databases(urls: dict[str, list]) -> None:
    """Make databases and their users, whose passwords become the given ones."""
    host = next(url.host for found in urls.values() for url in found)
    with connected(host) as connection, connection.cursor() as cursor:
        for service, found in urls.items():
            names = [url.database for url in found]
            cursor.execute(f"CREATE USER IF NOT EXISTS `{found[0].username}`@'%'")
            cursor.execute("SET PASSWORD FOR %s@'%%' = PASSWORD(%s)", (found[0].username, found[0].password))
            for name in [*names, *SCHEMAS[service].further]:
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb3")
                cursor.execute(f"GRANT ALL ON `{name}`.* TO `{found[0].username}`@'%'")


def fill(service: str, began: float) -> None:
    """Run a service's commands."""
    for command in SCHEMAS[service].commands:
        environment = {**os.environ, **(account() if command.endswith("bootstrap") else {})}
        code = subprocess.run(command.split(), env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        if code and code != next((known for start, known in REPEATED.items() if command.startswith(start)), 0):
            sys.exit(f"{' '.join(command.split()[:3])} ended with {code}")
        tell(" ".join(command.split()[:3]), began)


def account() -> dict[str, str]:
    """Return what `keystone-manage bootstrap` reads, so that no password is an argument."""
    catalog = yaml.safe_load(CATALOG.read_text())
    return {
        "OS_BOOTSTRAP_USERNAME": "admin",
        "OS_BOOTSTRAP_PASSWORD": secret("ADMIN_PASSWORD_FILE"),
        "OS_BOOTSTRAP_PROJECT_NAME": "admin",
        "OS_BOOTSTRAP_ROLE_NAME": "admin",
        "OS_BOOTSTRAP_SERVICE_NAME": "keystone",
        "OS_BOOTSTRAP_REGION_ID": catalog["region"],
        "OS_BOOTSTRAP_PUBLIC_URL": catalog["identity"]["url"],
        "OS_BOOTSTRAP_INTERNAL_URL": catalog["identity"]["internal"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
