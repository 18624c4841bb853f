#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes databases and schemas of the services that are named, all at the same time, and Keystone's first account.

A release stage of the package `openstack`. Doing it again changes nothing, but passwords that were changed. Given:
DATABASE_HOST, MARIADB_ROOT_PASSWORD, SERVICE_DATABASE_PASSWORD for each, ADMIN_PASSWORD, API_URL and REGION.
"""

import concurrent.futures
import dataclasses
import os
import subprocess
import sys
import time

import pymysql

PATIENCE_SECONDS = 90


@dataclasses.dataclass(frozen=True)
class Schema:
    """Databases of a service by the section that its configuration names them in, and what fills them, in order."""

    databases: dict[str, str]
    commands: tuple[str, ...]


SCHEMAS = {
    "keystone": Schema({"DATABASE": "keystone"}, ("keystone-manage db_sync", "keystone-manage bootstrap")),
    "placement": Schema({"PLACEMENT_DATABASE": "placement"}, ("placement-manage db sync",)),
    "glance": Schema({"DATABASE": "glance"}, ("glance-manage db_sync",)),
    "neutron": Schema({"DATABASE": "neutron"}, ("neutron-db-manage upgrade heads",)),
    "heat": Schema({"DATABASE": "heat"}, ("heat-manage db_sync",)),
    "nova": Schema(
        {"API_DATABASE": "nova_api", "DATABASE": "nova", "": "nova_cell0"},
        (
            "nova-manage api_db sync",
            "nova-manage cell_v2 map_cell0 --database_connection ${CELL0}",
            "nova-manage cell_v2 create_cell --name cell1 --verbose",
            "nova-manage db sync",
        ),
    ),
}
REPEATED = {"nova-manage cell_v2 create_cell": 2}
"""Exit codes that say that it was done before."""


def main(services: list[str]) -> None:
    """Do all that is to be done; ends with an error that names the step."""
    began = time.monotonic()
    make_databases(services)
    tell("databases", began)
    with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
        for done in [pool.submit(fill, service, began) for service in services]:
            done.result()


def tell(what: str, began: float) -> None:
    """Say what is done, with the seconds since the start."""
    print(f"{what}: done at {time.monotonic() - began:.1f} s", flush=True)


def password(service: str) -> str:
    """Return a service's password at the database."""
    return os.environ[f"{service.upper()}_DATABASE_PASSWORD"]


def connected() -> pymysql.Connection:
    """Return a connection as root, once the database answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return pymysql.connect(
                host=os.environ["DATABASE_HOST"], user="root", password=os.environ["MARIADB_ROOT_PASSWORD"]
            )
        except pymysql.err.OperationalError as error:
            if time.monotonic() > until:
                sys.exit(f"the database does not answer: {error}")
            time.sleep(0.3)


def make_databases(services: list[str]) -> None:
    """Make databases and their users, whose passwords become the given ones."""
    with connected() as connection, connection.cursor() as cursor:
        for service in services:
            cursor.execute(f"CREATE USER IF NOT EXISTS `{service}`@'%%'", ())
            cursor.execute(f"ALTER USER `{service}`@'%%' IDENTIFIED BY %s", (password(service),))
            for name in SCHEMAS[service].databases.values():
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb3")
                cursor.execute(f"GRANT ALL ON `{name}`.* TO `{service}`@'%%'", ())


def fill(service: str, began: float) -> None:
    """Run a service's commands."""
    urls = {
        section: f"mysql+pymysql://{service}:{password(service)}@{os.environ['DATABASE_HOST']}/{name}"
        for section, name in SCHEMAS[service].databases.items()
    }
    options = {f"OS_{section}__CONNECTION": url for section, url in urls.items() if section}
    for command in SCHEMAS[service].commands:
        words = [word.replace("${CELL0}", urls.get("", "")) for word in command.split()]
        code = subprocess.run(
            words, env={**os.environ, **options, **account()}, stdin=subprocess.DEVNULL, check=False
        ).returncode
        if code and code != next((known for start, known in REPEATED.items() if command.startswith(start)), 0):
            sys.exit(f"{command} ended with {code}")
        tell(command, began)


def account() -> dict[str, str]:
    """Return what `keystone-manage bootstrap` reads, so that no password is an argument."""
    return {
        "OS_BOOTSTRAP_USERNAME": "admin",
        "OS_BOOTSTRAP_PASSWORD": os.environ["ADMIN_PASSWORD"],
        "OS_BOOTSTRAP_PROJECT_NAME": "admin",
        "OS_BOOTSTRAP_ROLE_NAME": "admin",
        "OS_BOOTSTRAP_SERVICE_NAME": "keystone",
        "OS_BOOTSTRAP_REGION_ID": os.environ["REGION"],
        "OS_BOOTSTRAP_PUBLIC_URL": os.environ["API_URL"],
        "OS_BOOTSTRAP_INTERNAL_URL": "http://keystone:5000",
    }


if __name__ == "__main__":
    main(sys.argv[1:])
