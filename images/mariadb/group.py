# SPDX-License-Identifier: Apache-2.0
"""MariaDB as a server of its own or as a member of a Galera group; the commands of Stackyard's group contract.

`run` is the container's process: it finds out which position its data has, waits until a peer of the primary
component answers or the bootstrap right is granted, and becomes mariadbd. `status`, `grant` and `ready` are run beside
it. What was decided is one file that exists once for each start of the container, so that nobody can decide twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid

DATA = pathlib.Path("/var/lib/mysql")
STATE = pathlib.Path("/run/stackyard/group")
START = STATE / "start.json"
DECISION = STATE / "decision.json"
MAKING = DATA / ".stackyard-making"
GRASTATE = DATA / "grastate.dat"
TRANSFER = DATA / "sst_in_progress"
NOBODY = "00000000-0000-0000-0000-000000000000"
TRANSFER_METHOD = "--wsrep-sst-method=mariabackup"
SMALL_METHOD = "--wsrep-sst-method=rsync"
SMALL_BYTES = 256 * 1024 * 1024
"""Data of a new group is copied as it lies, which stops writes for a second; more, by a backup that stops nobody."""
STATUS_PORT = 4569
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 3.0
RECOVERED = re.compile(r"Recovered position:\s*([0-9a-f-]{36}):(-?\d+)")
CLIENT = ("mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--connect-timeout=2")
PROVIDER = "/usr/lib/galera/libgalera_smm.so"
# The right to begin a primary component is Stackyard's alone, so members don't restore one from what they remember.
PROVIDER_OPTIONS = "pc.recovery=no;gcache.recover=yes;gcache.size=256M"


def main(words: list[str]) -> int:
    """Run a command of the contract; return its exit code."""
    command, *rest = words
    if command == "run":
        run(rest)
    if command == "status":
        print(json.dumps(status()))
        return 0
    if command == "grant":
        return grant(json.loads(rest[0]))
    if command == "ready":
        return 0 if status()["synced"] else 1
    print(f"there is no command {command!r}; there are: run, status, grant, ready", file=sys.stderr)
    return 2


# --- the container's process ---------------------------------------------------------------------


def run(arguments: list[str]) -> None:
    """Become mariadbd; never returns."""
    if "STACKYARD_GROUP" not in os.environ:
        initialise()
        server(arguments)
    for old in (START, DECISION):
        old.unlink(missing_ok=True)
    found = position()
    write(START, {"incarnation": uuid.uuid4().hex, "position": found})
    listen()
    said = f"at {found['uuid']}:{found['seqno']}" if found else "without data"
    say(f"member {os.environ['STACKYARD_MEMBER']} {said} waits for a peer of the group, or for the bootstrap right")
    decision = decide()
    if decision["kind"] == "bootstrap":
        say(f"the bootstrap right of epoch {decision['epoch']} is granted: beginning the group's primary component")
        if not found:
            initialise()
        else:
            begin_from(found)
        server([*arguments, *member(found), "--wsrep-cluster-address=gcomm://", "--wsrep-new-cluster"])
    peers = decision["peers"]
    say(f"joining the group at {', '.join(peers)}")
    small = not found and 0 < int(decision.get("bytes", 0)) < SMALL_BYTES
    options = member(found, SMALL_METHOD if small else TRANSFER_METHOD)
    server([*arguments, *options, f"--wsrep-cluster-address=gcomm://{','.join(peers)}"])


def server(arguments: list[str]) -> None:
    """Become the server."""
    sys.stdout.flush()
    for name in [name for name in os.environ if name.startswith("MARIADB_")]:
        del os.environ[name]  # the server needs no passwords in its environment
    os.execvp("mariadbd", ["mariadbd", *arguments])


def member(found: dict[str, object] | None, method: str = TRANSFER_METHOD) -> list[str]:
    """Return the options of a group's member; `found` is the position of its data."""
    address = socket.gethostbyname(socket.gethostname())
    options = [
        "--wsrep-on=ON",
        f"--wsrep-provider={PROVIDER}",
        f"--wsrep-provider-options={PROVIDER_OPTIONS}",
        f"--wsrep-cluster-name={os.environ['STACKYARD_GROUP']}",
        f"--wsrep-node-name={os.environ['STACKYARD_MEMBER']}",
        f"--wsrep-node-address={address}",
        method,
        "--wsrep-sst-auth=mysql:",
    ]
    return [*options, f"--wsrep-start-position={found['uuid']}:{found['seqno']}"] if found else options


def decide() -> dict[str, object]:
    """Wait until this start's one decision is made, and return it."""
    while not DECISION.exists():
        peers = primaries()
        if peers:
            once(DECISION, {"kind": "join", "peers": sorted(peers), "bytes": max(peers.values())})
        else:
            time.sleep(LOOK_SECONDS)
    return json.loads(DECISION.read_text())


def primaries() -> dict[str, int]:
    """Return the addresses of peers that say that they are synced with the group's primary component.

    With each goes how many bytes its data has, 0 where it does not tell.
    """
    own = socket.gethostbyname(socket.gethostname())
    try:
        found = socket.getaddrinfo(os.environ["STACKYARD_GROUP"], None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return {}
    told = {address: asked(address) for address in {str(each[4][0]) for each in found} - {own}}
    return {address: int(said.get("bytes", 0)) for address, said in told.items() if said.get("synced")}


def asked(address: str) -> dict[str, object]:
    """Return a peer's status; empty when it does not answer."""
    try:
        with socket.create_connection((address, STATUS_PORT), 1.0) as connection:
            connection.settimeout(ANSWER_SECONDS)
            text = b"".join(iter(lambda: connection.recv(4096), b""))
        answer = json.loads(text)
    except (OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def listen() -> None:
    """Have everybody who asks on the status port told the status, in a process of its own."""
    command = f"TCP-LISTEN:{STATUS_PORT},fork,reuseaddr,max-children=16"
    # Whoever has read enough hangs up, which is no news.
    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(["socat", command, "EXEC:stackyard-group status"], **quiet)


# --- the commands --------------------------------------------------------------------------------


def status() -> dict[str, object]:
    """Return what this member is: preparing, waiting or started; its position, and what the server says."""
    start, decision = read(START), read(DECISION)
    told: dict[str, object] = {"state": "preparing", "incarnation": "", "epoch": 0, "position": None}
    told |= {"primary": False, "synced": False, "cluster": "", "size": 0}
    if start is None:
        return told
    told |= {"state": "started" if decision else "waiting", **start}
    if not decision:
        return told
    said = variables()
    primary = said.get("wsrep_cluster_status") == "Primary"
    serves = said.get("wsrep_ready") == "ON" and said.get("wsrep_local_state") in ("2", "4")
    told |= {"epoch": decision.get("epoch", 0), "primary": primary, "synced": primary and serves}
    told |= {"cluster": said.get("wsrep_cluster_state_uuid", ""), "size": int(said.get("wsrep_cluster_size", 0))}
    return told | {"bytes": size() if primary else 0}


def size() -> int:
    """Return how many bytes of tables there are."""
    total = 0
    for folder, _, names in os.walk(DATA):
        for name in names:
            with contextlib.suppress(OSError):
                total += (
                    os.stat(f"{folder}/{name}").st_size if name.startswith("ibdata") or name.endswith(".ibd") else 0
                )
    return total


def told_by(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with this text as its input; what it writes to either output is `stdout`."""
    out = subprocess.PIPE
    return subprocess.run(
        command, check=False, input=text, stdout=out, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def variables() -> dict[str, str]:
    """Return the server's Galera status; empty while it does not answer."""
    user = f"--user={'root' if os.geteuid() == 0 else 'mysql'}"  # known to the server by its socket
    asking = "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_ready', 'wsrep_local_state',"
    asking += " 'wsrep_cluster_state_uuid', 'wsrep_cluster_size')"
    try:
        command = [*CLIENT, user, "-N", "-B", "-e", asking]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return {}
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {row[0].lower(): row[1] for row in rows if len(row) == 2}


def grant(asked_for: dict[str, object]) -> int:
    """Take the bootstrap right, if it is for this start of this member and nothing has been decided yet."""
    start = read(START)
    if start is None or asked_for.get("incarnation") != start["incarnation"]:
        print("refused: the grant is for another start of this member", file=sys.stderr)
        return 3
    once(DECISION, {"kind": "bootstrap", "epoch": asked_for["epoch"]})
    made = read(DECISION) or {}
    if made.get("kind") == "bootstrap" and made.get("epoch") == asked_for["epoch"]:
        return 0
    print(f"refused: this start has decided otherwise: {made.get('kind')}", file=sys.stderr)
    return 3


# --- the data ------------------------------------------------------------------------------------


def position() -> dict[str, object] | None:
    """Return {uuid, seqno} of the data; None where there is none, or only a part of somebody else's."""
    if not (DATA / "ibdata1").exists() or TRANSFER.exists() or MAKING.exists():
        return None
    if GRASTATE.exists():
        text = GRASTATE.read_text()
        named, number = re.search(r"uuid:\s*(\S+)", text), re.search(r"seqno:\s*(-?\d+)", text)
        if named and number and int(number[1]) >= 0 and named[1] != NOBODY:
            return {"uuid": named[1], "seqno": int(number[1])}
    return recovered()


def recovered() -> dict[str, object] | None:
    """Return the position that the storage engine finds after a crash."""
    say("it did not stop in order: asking the storage engine for its position")
    # It asks the way Galera is set up, though it never connects: else its engine counts as one that is missing.
    galera = ["--wsrep-on=ON", f"--wsrep-provider={PROVIDER}", "--wsrep-cluster-address=gcomm://", TRANSFER_METHOD]
    command = ["mariadbd", "--wsrep-recover", "--skip-networking", *galera]
    done = told_by(command)
    found = RECOVERED.search(done.stdout)
    if found is None:
        print(done.stdout, flush=True)
        sys.exit(f"mariadbd --wsrep-recover ended with {done.returncode} and told no position")
    return None if found[1] == NOBODY else {"uuid": found[1], "seqno": int(found[2])}


def initialise() -> None:
    """Make the first data, with what MARIADB_* ask for; finds it made, and begins anew where that was broken off."""
    if (DATA / "mysql").is_dir() and not MAKING.exists():
        return
    MAKING.touch()
    for each in DATA.iterdir():
        if each != MAKING:
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    say("making the first data")
    options = ["--skip-test-db", "--auth-root-authentication-method=socket", "--skip-name-resolve"]
    done = told_by(["mariadb-install-db", *options])
    if done.returncode:
        sys.exit(f"mariadb-install-db ended with {done.returncode}:\n{done.stdout}")
    bootstrap = ["mariadbd", "--bootstrap", "--wsrep-on=OFF", "--skip-log-bin"]
    done = told_by(bootstrap, first_statements())
    if done.returncode:
        sys.exit(f"the first statements failed:\n{done.stdout[-4000:]}")
    MAKING.unlink()


def begin_from(found: dict[str, object]) -> None:
    """Have the server begin the same cluster where its data ends, also after a crash in the middle of a change."""
    lines = ("# GALERA saved state", "version: 2.1", f"uuid:    {found['uuid']}", "seqno:   -1", "safe_to_bootstrap: 1")
    GRASTATE.write_text("".join(f"{line}\n" for line in lines))


def first_statements() -> str:
    """Return the SQL for MARIADB_ROOT_PASSWORD, MARIADB_DATABASE, MARIADB_USER and MARIADB_PASSWORD."""
    root, database = setting("ROOT_PASSWORD"), setting("DATABASE")
    user, password = setting("USER"), setting("PASSWORD")
    lines = ["FLUSH PRIVILEGES", "DELETE FROM mysql.global_priv WHERE User = ''", "FLUSH PRIVILEGES"]
    # The server's own user, known by its socket: `status` asks as it, and a donor copies the data as it.
    lines.append("CREATE OR REPLACE USER mysql@localhost IDENTIFIED VIA unix_socket")
    lines.append("GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICA MONITOR ON *.* TO mysql@localhost")
    if root:
        lines.append(f"CREATE OR REPLACE USER root@'%' IDENTIFIED BY {quoted(root)}")
        lines.append("GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION")
    if database:
        lines.append(f"CREATE DATABASE IF NOT EXISTS {name(database)}")
    if user:
        lines.append(f"CREATE OR REPLACE USER {quoted(user)}@'%' IDENTIFIED BY {quoted(password)}")
    if user and database:
        lines.append(f"GRANT ALL ON {name(database)}.* TO {quoted(user)}@'%'")
    return "".join(f"{line};\n" for line in lines)


def setting(key: str) -> str:
    """Return MARIADB_<key>, or what is in the file that MARIADB_<key>_FILE names."""
    path = os.environ.get(f"MARIADB_{key}_FILE")
    return pathlib.Path(path).read_text().rstrip("\n") if path else os.environ.get(f"MARIADB_{key}", "")


def quoted(text: str) -> str:
    """Return a text as an SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


def name(text: str) -> str:
    """Return a text as an SQL name."""
    return "`" + text.replace("`", "``") + "`"


# --- files ---------------------------------------------------------------------------------------


def once(path: pathlib.Path, content: dict[str, object]) -> None:
    """Write a file that is whole when it appears, unless it is there."""
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    whole.write_text(json.dumps(content))
    with contextlib.suppress(FileExistsError):
        os.link(whole, path)
    whole.unlink()


def write(path: pathlib.Path, content: dict[str, object]) -> None:
    """Write a file that is whole when it appears."""
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    whole.write_text(json.dumps(content))
    whole.replace(path)


def read(path: pathlib.Path) -> dict[str, object] | None:
    """Return a file's content; None where it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def say(text: str) -> None:
    """Tell the container's log."""
    print(f"stackyard-group: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
