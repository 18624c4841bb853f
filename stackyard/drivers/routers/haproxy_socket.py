# SPDX-License-Identifier: Apache-2.0
"""HAProxy's control sockets: commands to the running process and to its master, and what their answers mean.

Used by the router driver only; knows HAProxy's words (version 2.6, management guide section 9) and no policy.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import socket

from stackyard.model import errors

TIMEOUT = 10.0


@dataclasses.dataclass(frozen=True)
class Server:
    """A server of a backend as the running process has it; `active`: it takes new requests."""

    address: str
    active: bool


class ControlSocket:
    """Talks to HAProxy through `master.sock` in a folder.

    The master passes commands on to a process by number: `@1` is always the one that serves, whereas on the
    process's own socket an old process may still take a call shortly after a reload.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def ask(self, command: str, expected: str | None = "") -> str:
        """Run a command and return its answer; raises Unavailable unless it is `expected` (None: anything)."""
        answer = self._talk(f"@1 {command}").strip()
        if expected is not None and answer != expected:
            raise errors.Unavailable(f"the router refused {command!r}: {answer}")
        return answer

    def backends(self) -> set[str]:
        """Return the names of all backends of the serving process."""
        lines = self.ask("show backend", None).splitlines()
        return {line.strip() for line in lines if line and not line.startswith("#")}

    def servers(self, backend: str) -> dict[str, Server]:
        """Return the backend's servers by name; empty when there is no such backend."""
        lines = self.ask(f"show servers state {backend}", None).splitlines()
        rows = [line.split() for line in lines if line[:1].isdigit() and " " in line]
        # Columns: be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state … srv_port is the 19th.
        return {row[3]: Server(_joined(row[4], row[18]), active=row[6] == "0") for row in rows}

    def sessions(self, backend: str, server: str) -> int:
        """Return the requests in flight on a server, in the serving process and in those that a reload left over."""
        found = 0
        for pid in self._workers():
            text = self._talk(f"@!{pid} show stat -1 4 -1").removeprefix("# ")
            for row in csv.DictReader(text.strip().splitlines()):
                if row.get("pxname") == backend and row.get("svname") == server:
                    found += int(row["scur"] or 0) + int(row["qcur"] or 0)
        return found

    def reload(self) -> None:
        """Ask the master for a reload; it goes on serving meanwhile."""
        self._talk("reload")

    def _workers(self) -> list[str]:
        lines = self._talk("show proc").splitlines()
        rows = [line.split() for line in lines if line and not line.startswith("#")]
        return [row[0] for row in rows if len(row) > 1 and row[1] == "worker"]

    def _talk(self, command: str) -> str:
        """Send one command and read the answer to its end; raises Unavailable when nobody answers."""
        # Opening the folder first keeps the address short: a Unix socket's path may have 107 bytes only.
        try:
            folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise errors.Unavailable(f"the router was never started here: {error}; run 'stackyard up'") from None
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT)
                connection.connect(f"/proc/self/fd/{folder}/master.sock")
                connection.sendall(command.encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)  # else it would wait for another command
                return _read(connection)
        except OSError as error:
            raise errors.Unavailable(f"the router does not answer ({error}); 'stackyard up' repairs it") from None
        finally:
            os.close(folder)


def _read(connection: socket.socket) -> str:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts).decode()


def _joined(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
