#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Databases, accounts and schemas of the services that are named, all at the same time: `init`, `expand`, `contract`.

Stages of the packages `openstack` and `identity`: `init` makes what is not there, `expand` lets a schema bear the
release to come beside the one that serves, `contract` takes away what only the old one needed. What was done, and for
which version, is kept beside the schemas: doing it again is a matter of a moment. Where the databases are, and as whom
they are used, is read from the services' own configuration.

While the image is made, `record` writes what `init` made into RECORDED. An empty database is filled from there, which
takes a moment: the services' own commands import for a minute what they then need for a second.
"""

import concurrent.futures
import configparser
import dataclasses
import hashlib
import hmac
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import time

import pymysql
import yaml
from packaging.version import Version
from pymysql.constants import CLIENT
from sqlalchemy.engine import make_url

CATALOG = pathlib.Path("/etc/openstack/catalog.yaml")
RECORDED = pathlib.Path("/usr/local/share/openstack-schemas")
PATIENCE_SECONDS = 90
ACCESS = "{scheme}://{username}:{password}@{hostname}"
"""Nova's own words for what its configuration says, so that no password becomes an argument or is kept twice."""
NEUTRON = "neutron-db-manage --config-file /etc/neutron/neutron.conf upgrade"
BOOTSTRAP = "keystone-manage bootstrap"


@dataclasses.dataclass(frozen=True)
class Schema:
    """A service's Python distribution, its configuration, the sections that name databases, and further databases.

    `init` fills an empty database; `expand` and `contract` are the two halves of an upgrade.
    """

    distribution: str
    conf: str
    sections: tuple[str, ...]
    init: tuple[str, ...]
    expand: tuple[str, ...]
    contract: tuple[str, ...] = ()
    further: tuple[str, ...] = ()


SCHEMAS = {
    "keystone": Schema(
        "keystone",
        "keystone/keystone.conf",
        ("database",),
        ("keystone-manage db_sync",),
        ("keystone-manage db_sync --expand", "keystone-manage db_sync --migrate"),
        ("keystone-manage db_sync --contract",),
    ),
    "placement": Schema(
        "openstack-placement",
        "placement/placement.conf",
        ("placement_database",),
        ("placement-manage db sync",),
        ("placement-manage db sync",),
        ("placement-manage db online_data_migrations",),
    ),
    "glance": Schema(
        "glance",
        "glance/glance-api.conf",
        ("database",),
        ("glance-manage db_sync",),
        ("glance-manage db expand", "glance-manage db migrate"),
        ("glance-manage db contract",),
    ),
    "neutron": Schema(
        "neutron",
        "neutron/neutron.conf",
        ("database",),
        (f"{NEUTRON} heads",),
        (f"{NEUTRON} --expand",),
        (f"{NEUTRON} --contract",),
    ),
    "heat": Schema(
        "openstack-heat", "heat/heat.conf", ("database",), ("heat-manage db_sync",), ("heat-manage db_sync",)
    ),
    "nova": Schema(
        "nova",
        "nova/nova.conf",
        ("api_database", "database"),
        (
            "nova-manage api_db sync",
            f"nova-manage cell_v2 map_cell0 --database_connection {ACCESS}/nova_cell0",
            f"nova-manage cell_v2 create_cell --name cell1 --database_connection {ACCESS}/nova"
            f" --transport-url {ACCESS}:{{port}}/",
            "nova-manage db sync",
        ),
        ("nova-manage api_db sync", "nova-manage db sync"),
        ("nova-manage db online_data_migrations",),
        ("nova_cell0",),
    ),
}
REPEATED = {"nova-manage cell_v2 create_cell": 2}
"""Exit codes that say that it was done before."""


def main(phase: str, services: list[str]) -> None:
    """Do all that is to be done in a phase; ends with an error that names the step."""
    began = time.monotonic()
    urls = {service: connections(SCHEMAS[service]) for service in services}
    host = next(url.host for found in urls.values() for url in found)
    with Database(host) as database:
        for service, found in urls.items():
            database.have(found, SCHEMAS[service].further, retire=phase == "contract")
        tell("databases and accounts", began)
        if phase == "init":
            for service in services:  # one after the other: in a group, statements that make tables end others beside
                recall(database, service, began)
        with concurrent.futures.ThreadPoolExecutor(len(services)) as pool:
            for done in [pool.submit(fill, Database(host), phase, service, began) for service in services]:
                done.result()
        if phase == "record":
            for service, found in urls.items():
                record(database, service, [*(url.database for url in found), *SCHEMAS[service].further])


class Database:
    """The database server as its root, with what is known of schemas in a database of its own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.connection = connected(host)
        self.cursor = self.connection.cursor()
        self.cursor.execute("CREATE DATABASE IF NOT EXISTS stackyard")
        self.cursor.execute(
            "CREATE TABLE IF NOT EXISTS stackyard.schemas"
            " (service VARCHAR(64), phase VARCHAR(16), version VARCHAR(128) NOT NULL, PRIMARY KEY (service, phase))"
        )

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def known(self, service: str, phase: str) -> str:
        """Return what was noted of a service's phase; nothing where it never was done."""
        self.connection.ping(reconnect=True)  # the writer may have become another one while commands ran
        self.cursor.execute("SELECT version FROM stackyard.schemas WHERE service = %s AND phase = %s", (service, phase))
        return (self.cursor.fetchone() or ("",))[0]

    def note(self, service: str, phase: str, version: str) -> None:
        """Note that a phase is done."""
        self.connection.ping(reconnect=True)
        self.cursor.execute("REPLACE INTO stackyard.schemas VALUES (%s, %s, %s)", (service, phase, version))

    def empty(self, name: str) -> bool:
        """Tell whether a database has no table."""
        self.cursor.execute("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s", (name,))
        return self.cursor.fetchone() == (0,)

    def execute(self, name: str, statements: str) -> None:
        """Execute statements in a database, one after the other."""
        with connected(self.host, database=name, client_flag=CLIENT.MULTI_STATEMENTS) as own, own.cursor() as cursor:
            cursor.execute(statements)
            while cursor.nextset():
                pass

    def have(self, urls: list, further: tuple[str, ...], *, retire: bool) -> None:
        """Have a service's databases and its account."""
        self.have_account(urls[0].username, urls[0].password, retire=retire)
        for name in [*(url.database for url in urls), *further]:
            self.cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb3")
            self.cursor.execute(f"GRANT ALL ON `{name}`.* TO `{urls[0].username}`@'%'")

    def have_account(self, name: str, password: str, *, retire: bool) -> None:
        """Have an account with this password, beside the one before until that is retired: who runs on may go on."""
        self.cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (name, password))
        self.cursor.execute("SELECT PASSWORD(%s)", (password,))
        (wanted,) = self.cursor.fetchone()
        others = [each for each in self.passwords(name) if each != wanted]
        kept = [wanted] if retire else [wanted, *others[:1]]
        if set(kept) != {wanted, *others} or wanted not in self.passwords(name):
            ways = " OR ".join(["mysql_native_password USING %s"] * len(kept))
            self.cursor.execute(f"ALTER USER %s@'%%' IDENTIFIED VIA {ways}", (name, *kept))

    def passwords(self, name: str) -> list[str]:
        """Return the digests of an account's passwords."""
        self.cursor.execute("SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = '%%'", (name,))
        told = json.loads(self.cursor.fetchone()[0])
        ways = [told, *told.get("auth_or", [])]
        return list(dict.fromkeys(way["authentication_string"] for way in ways if way.get("authentication_string")))


def connections(schema: Schema) -> list:
    """Return the database URLs in a service's configuration."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(pathlib.Path("/etc") / schema.conf)
    return [make_url(parser[section]["connection"]) for section in schema.sections]


def connected(host: str, **how: object) -> pymysql.Connection:
    """Return a connection as root, once the database answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            password = secret("DATABASE_PASSWORD_FILE")
            return pymysql.connect(host=host, user="root", password=password, autocommit=True, **how)
        except pymysql.err.OperationalError as error:
            if time.monotonic() > until:
                sys.exit(f"the database does not answer: {error}")
            time.sleep(0.3)


def fill(database: Database, phase: str, service: str, began: float) -> None:
    """Bring a service's schema through a phase, unless that was done for this version."""
    schema, version = SCHEMAS[service], importlib.metadata.version(SCHEMAS[service].distribution)
    with database:
        if due(database, phase, service, version):
            for command in schema.init if phase == "record" else getattr(schema, phase):
                run(command, began)
            for done in ("expand", "contract") if phase in ("init", "record") else (phase,):
                database.note(service, done, version)
        if service == "keystone" and phase == "init":
            bootstrap(database, began)
        tell(f"{service}: {phase} for {version}", began)


def due(database: Database, phase: str, service: str, version: str) -> bool:
    """Tell whether a phase is left to do; ends where the schema is too new for the service."""
    expanded, contracted = database.known(service, "expand"), database.known(service, "contract")
    if contracted and Version(contracted) > Version(version):
        sys.exit(
            f"{service} {version} can't use its database any more, which is of {contracted}: deploy that release"
            " again, or restore a backup from before the upgrade"
        )
    if phase in ("init", "record") or not expanded:  # what a release brings for the first time is made by `init` alone
        return phase in ("init", "record") and not expanded
    return {"expand": expanded, "contract": contracted}[phase] != version


def record(database: Database, service: str, names: list[str]) -> None:
    """Write a service's databases, as statements, into the folder that is named after it and its version."""
    folder = recording(service, importlib.metadata.version(SCHEMAS[service].distribution))
    folder.mkdir(parents=True)
    how = ["--single-transaction", "--skip-add-locks", "--skip-disable-keys", "--skip-comments", "--hex-blob"]
    for name in names:
        login = [f"--host={database.host}", "--user=root"]
        environment = {**os.environ, "MYSQL_PWD": secret("DATABASE_PASSWORD_FILE")}
        with (folder / f"{name}.sql").open("w") as file:
            subprocess.run(["mariadb-dump", *login, *how, name], env=environment, stdout=file, check=True)


def recall(database: Database, service: str, began: float) -> None:
    """Fill a service's databases from what was recorded, if it was; one that holds anything else stays as it is."""
    version = importlib.metadata.version(SCHEMAS[service].distribution)
    files = {path.stem: path for path in recording(service, version).glob("*.sql")}
    broken_off = database.known(service, "recalled") == version
    fresh = all(database.empty(name) for name in files)
    if not files or not due(database, "init", service, version) or not (fresh or broken_off):
        return
    database.note(service, "recalled", version)
    for name, path in files.items():
        database.execute(name, path.read_text())
    if service == "nova":
        database.execute("nova_api", "UPDATE cell_mappings SET uuid = UUID() WHERE name = 'cell1'")
    for done in ("expand", "contract"):
        database.note(service, done, version)
    tell(f"{service}: recalled", began)


def recording(service: str, version: str) -> pathlib.Path:
    """Return the folder with what was recorded of a service's version."""
    return RECORDED / f"{service}-{version.replace(':', '-')}"


def run(command: str, began: float, environment: dict[str, str] | None = None) -> None:
    """Run a service's command; ends with an error that names it when it fails."""
    told = {**os.environ, **(environment or {})}
    code = subprocess.run(command.split(), env=told, stdin=subprocess.DEVNULL, check=False).returncode
    words = " ".join(command.split()[:3])
    if code and code != next((known for start, known in REPEATED.items() if command.startswith(start)), 0):
        sys.exit(f"{words} ended with {code}")
    tell(words, began)


def bootstrap(database: Database, began: float) -> None:
    """Have Keystone's first account and its own endpoints, as they are asked for now."""
    wanted = account()
    key = secret("DATABASE_PASSWORD_FILE").encode()
    digest = hmac.new(key, json.dumps(wanted, sort_keys=True).encode(), hashlib.sha256).hexdigest()
    if database.known("keystone", "bootstrap") != digest:
        run(BOOTSTRAP, began, wanted)
        database.note("keystone", "bootstrap", digest)


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


def secret(name: str) -> str:
    """Return what the file that the variable names holds."""
    return pathlib.Path(os.environ[name]).read_text().rstrip("\n")


def tell(what: str, began: float) -> None:
    """Say what is done, with the seconds since the start."""
    print(f"{what}: done at {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
