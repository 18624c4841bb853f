# SPDX-License-Identifier: Apache-2.0
"""Real database servers from Debian's packages, started in temporary folders on free loopback ports."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import sqlalchemy as sa


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """Return the path of a server's program; Debian keeps PostgreSQL's out of PATH."""
    found = shutil.which(name) or next(map(str, sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), "")
    assert found, f"{name} is not installed: run `make test`, which installs it, or apt-get install it"
    return found


def reachable(folder: pathlib.Path) -> pathlib.Path:
    """Open the way to a temporary folder for the server's own account."""
    for each in (folder, *folder.parents):
        if each == pathlib.Path(tempfile.gettempdir()):
            return folder
        each.chmod(0o755)
    return folder


def unprivileged() -> str:
    """Return the account that servers run as, since PostgreSQL refuses root."""
    return "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@contextlib.contextmanager
def running(
    command: list[str], log: pathlib.Path, user: str | None = None, stop: int = signal.SIGTERM
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user)
        try:
            yield
        finally:
            process.send_signal(stop)
            process.wait(30)


def answering(url: str, log: pathlib.Path) -> str:
    engine = sa.create_engine(url)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with engine.connect():
                return url
        except sa.exc.OperationalError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def mariadb(folder: pathlib.Path) -> Iterator[str]:
    port, data, log = free_port(), folder / "data", folder / "log"
    user = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
    install = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={data}",
        user,
        "--auth-root-authentication-method=normal",
    ]
    subprocess.run([*install, "--skip-test-db"], check=True, capture_output=True)
    init = folder / "init.sql"
    init.write_text(
        "CREATE DATABASE IF NOT EXISTS stackyard;\nCREATE USER IF NOT EXISTS t@'127.0.0.1';\n"
        "GRANT ALL ON stackyard.* TO t@'127.0.0.1';\n"
    )
    command = [
        program("mariadbd"),
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        user,
        f"--init-file={init}",
        "--bind-address=127.0.0.1",
        f"--socket={folder / 'sock'}",
        f"--pid-file={folder / 'pid'}",
    ]
    with running(command, log):
        yield answering(f"mysql+pymysql://t@127.0.0.1:{port}/stackyard", log)


@contextlib.contextmanager
def postgresql(folder: pathlib.Path) -> Iterator[str]:
    port, data, log, user = free_port(), folder / "data", folder / "log", unprivileged()
    data.mkdir()
    shutil.chown(data, user)
    initdb = [program("initdb"), "-D", str(data), "-U", "stackyard", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd="/")
    command = [
        program("postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
    ]
    with running(command, log, user, signal.SIGINT):  # "fast": waits for no client
        yield answering(f"postgresql+psycopg://stackyard@127.0.0.1:{port}/postgres", log)


@contextlib.contextmanager
def sqlite(folder: pathlib.Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/stackyard.db"


SERVERS = {"sqlite": sqlite, "mariadb": mariadb, "postgresql": postgresql}
