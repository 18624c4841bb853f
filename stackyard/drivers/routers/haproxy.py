# SPDX-License-Identifier: Apache-2.0
"""Routing by host name with HAProxy 2.6 or newer: the `Router` port.

Used by the workers, several at a time. A folder shared with HAProxy holds its base configuration, one file for
each host name, certificates, and its control sockets. Servers and certificates come and go through the runtime API;
only a new or removed host, and one that is answered for by other rules, makes HAProxy reload, which loses no
connection. The files always say what was asked for last, so that a restarted HAProxy comes back right. Who runs
HAProxy, and from which image, is not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import pathlib
import re
import time
from collections.abc import Iterator, Mapping

from stackyard.drivers.routers import haproxy_config as config
from stackyard.drivers.routers import traffic
from stackyard.drivers.routers.haproxy_certificates import Shelf, write
from stackyard.drivers.routers.haproxy_config import Listen
from stackyard.drivers.routers.haproxy_socket import ControlSocket, Server
from stackyard.model import errors
from stackyard.model.ports import Route, Told, Traffic

__all__ = ["COMMAND", "HAProxyRouter", "Listen", "prepare"]

NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*")
MAX_HOST = 240  # with its suffix the host is a file name
RELOAD_SECONDS = 15
NO_REASON = "it is starting or its replicas have stopped"
MAX_PAGE = config.MAX_PAGE
OWNER = re.compile(r"[A-Za-z0-9_.-]{1,80}/[A-Za-z0-9_.-]{1,80}")
NOTE = re.compile(r"[A-Za-z0-9 .,:;=()'/-]{0,300}")
FOLDERS = ("run", "conf.d", "certs", "maps", "pages", "owners")

COMMAND = ("-W", "-S", "unix@run/master.sock,mode,600", "-f", "haproxy.cfg", "-f", "conf.d")
"""Arguments that HAProxy is to be run with, in the folder."""


def prepare(folder: pathlib.Path, listen: Listen) -> None:
    """Write the base configuration for HAProxy to serve where `listen` says; hosts already there stay."""
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "maps" / "notes.map").touch(0o600)
    if listen.pair:
        Shelf(folder, ControlSocket(folder / "run")).prepare(listen.pair.pem)
    write(folder / "haproxy.cfg", config.base(listen))


class HAProxyRouter:
    """Leads requests for host names to servers; implements `ports.Router`."""

    def __init__(self, folder: pathlib.Path) -> None:
        """`folder` is the one that `prepare` wrote and HAProxy runs in."""
        self._folder = folder
        self._socket = ControlSocket(folder / "run")
        self._shelf = Shelf(folder, self._socket)

    def put(self, host: str, servers: Mapping[str, str], route: Route | None = None) -> None:
        """Make exactly these servers take new requests; raises BadInput for names that HAProxy can't take."""
        _check(host, servers, route)
        with self._alone():
            old = self._section(host)
            head = config.head(host, route) if route or not old.head else old.head
            rules = route.mark.partition(".")[0] if route else old.mark
            owner = route.owner if route else old.owner
            changed = head != old.head or rules != old.mark
            if route:
                self._prepare(host, route, old.owner, changed=changed)
            write(self._file(host), config.section(config.PENDING if changed else rules, owner, head, servers))
            if changed or host not in self._socket.backends():
                self._reload()
            if changed:
                write(self._file(host), config.section(rules, owner, head, servers))
            self._match(host, servers, route.note if route else "")

    def servers(self, host: str) -> Mapping[str, str]:
        """Return the servers that take new requests now (name → address:port)."""
        return {name: seen.address for name, seen in self._socket.servers(host).items() if seen.active}

    def idle(self, host: str, server: str) -> bool:
        """Tell whether a server has no request in flight, forgetting it if it was taken out before."""
        _check(host, {server: "127.0.0.1:1"})
        with self._alone():
            if self._socket.sessions(host, server):
                return False
            seen = self._socket.servers(host).get(server)
            if seen and not seen.active:
                self._forget(host, server)
        return True

    def remove(self, host: str, owner: str = "") -> None:
        """Answer for the host no longer; requests in flight are finished. Another owner's host stays."""
        _check(host, {})
        with self._alone():
            theirs = self._section(host).owner
            if owner and theirs and theirs != owner:
                return
            self._shelf.forget(host)
            self._file(host).unlink(missing_ok=True)
            for kind in ("html", "txt"):
                (self._folder / "pages" / f"{host}.{kind}").unlink(missing_ok=True)
            self._write_notes({name: note for name, note in self._notes().items() if name != host})
            if host in self._socket.backends():
                self._reload()
            self._owned(theirs).joinpath(host).unlink(missing_ok=True)  # last: until then the owner finds it

    def hosts(self, owner: str = "") -> list[str]:
        """Return all host names that are, or after a restart would be, routed; or an owner's."""
        if owner:
            folder = self._owned(owner)
            return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        written = {path.stem for path in (self._folder / "conf.d").glob("[!_]*.cfg")}
        return sorted(written | {name for name in self._socket.backends() if not name.startswith("_")})

    def told(self, host: str) -> Told:
        """Return what was told last of the host and is so; an unfinished change has a mark that no route has."""
        mark = self._section(host).mark
        return Told(f"{mark}.{self._shelf.mark(host)}", self._notes().get(host, "")) if mark else Told()

    def traffic(self, workload_id: str) -> Traffic:
        """Return what a workload was asked in the last seconds, as the reader of access lines has counted."""
        return traffic.read(self._folder / "run", workload_id)

    def _prepare(self, host: str, route: Route, old_owner: str, *, changed: bool) -> None:
        """Bring what a host's section refers to, before the section itself."""
        if route.maintenance:
            page, text = config.pages(route.maintenance)
            write(self._folder / "pages" / f"{host}.html", page)
            write(self._folder / "pages" / f"{host}.txt", text)
        self._owned(route.owner).mkdir(mode=0o700, exist_ok=True)
        self._owned(route.owner).joinpath(host).touch()
        if old_owner and old_owner != route.owner:
            self._owned(old_owner).joinpath(host).unlink(missing_ok=True)
        pem = route.pair.pem if route.pair else ""
        if pem and changed:
            self._shelf.keep(host, pem)
        elif pem and f".{self._shelf.mark(host)}" != "." + route.mark.partition(".")[2]:
            self._shelf.serve(host, pem)

    def _tell(self, host: str, note: str) -> None:
        """Have the note told while there is no replica."""
        notes = self._notes()
        if notes.get(host, "") == note:
            return
        self._socket.ask(f"del map maps/notes.map {host}", None)
        if note:
            self._socket.ask(f"add map maps/notes.map <<\n{host} {note}\n", None)
        self._write_notes({**notes, host: note})

    def _notes(self) -> dict[str, str]:
        lines = (self._folder / "maps" / "notes.map").read_text().splitlines()
        return {host: note for host, _, note in (line.partition(" ") for line in lines)}

    def _write_notes(self, notes: Mapping[str, str]) -> None:
        lines = [f"{host} {note}\n" for host, note in sorted(notes.items()) if note]
        write(self._folder / "maps" / "notes.map", "".join(lines))

    def _match(self, host: str, servers: Mapping[str, str], note: str) -> None:
        """Bring the running backend to `servers`: first in with the new ones, then out with the others.

        Without any the note is told before the last goes.
        """
        if not servers:
            self._tell(host, note or NO_REASON)
        seen = self._socket.servers(host)
        for name, address in servers.items():
            self._admit(host, name, address, seen.get(name))
        if servers:
            self._tell(host, "")
        for name, server in seen.items():
            if name in servers:
                continue
            if server.active:
                self._socket.ask(f"set server {host}/{name} state drain")
            if not self._socket.sessions(host, name):
                self._forget(host, name)

    def _admit(self, host: str, name: str, address: str, seen: Server | None) -> None:
        if seen is None:
            self._socket.ask(f"add server {host}/{name} {address}", "New server registered.")
            self._socket.ask(f"enable server {host}/{name}")
            return
        if seen.address != address:
            ip, port = address.rsplit(":", 1)
            self._socket.ask(f"set server {host}/{name} addr {ip.strip('[]')} port {port}", None)
        if not seen.active:
            self._socket.ask(f"set server {host}/{name} state ready")

    def _forget(self, host: str, name: str) -> None:
        """Delete a server that takes no requests; one that is still busy in some way stays for the next time."""
        self._socket.ask(f"set server {host}/{name} state maint")
        answer = self._socket.ask(f"del server {host}/{name}", None)
        if answer != "Server deleted.":
            self._socket.ask(f"set server {host}/{name} state drain")

    def _reload(self) -> None:
        """Reload without losing a connection and wait until the new process serves: it has the next generation."""
        path = self._folder / "conf.d" / "_generation.cfg"
        last = re.search(r"_generation(\d+)", path.read_text()) if path.exists() else None
        name = f"_generation{int(last[1]) + 1 if last else 1}"
        write(path, f"backend {name}\n")
        self._socket.reload()
        deadline = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(errors.Unavailable):
                if name in self._socket.backends():
                    return
            time.sleep(0.02)
        raise errors.Unavailable(f"the router did not reload in {RELOAD_SECONDS} s; see the log of its container")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let only one of all worker processes and threads change the router at a time."""
        with (self._folder / "run" / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, host: str) -> pathlib.Path:
        return self._folder / "conf.d" / f"{host}.cfg"

    def _owned(self, owner: str) -> pathlib.Path:
        """Return the folder that has an empty file for each host of an owner."""
        return self._folder / "owners" / (owner.replace("/", "~") or "~")

    def _section(self, host: str) -> config.Section:
        try:
            return config.parsed(self._file(host).read_text())
        except FileNotFoundError:
            return config.Section()


def _check(host: str, servers: Mapping[str, str], route: Route | None = None) -> None:
    """Raise BadInput for anything that could break the configuration file."""
    if not HOST.fullmatch(host) or len(host) > MAX_HOST:
        raise errors.BadInput(f"{host!r} is no host name (RFC 1123, lower case, at most {MAX_HOST} characters)")
    for name, address in servers.items():
        ip, _, port = address.rpartition(":")
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(ip.strip("[]"))
            if NAME.fullmatch(name) and 0 < int(port) < 65536:
                continue
        raise errors.BadInput(f"server {name!r} at {address!r}: a plain name and IP:PORT are needed")
    if route and not (OWNER.fullmatch(route.owner) and NOTE.fullmatch(route.note)):
        raise errors.BadInput(f"route of {host}: an owner APP/ENVIRONMENT and a note of plain words are needed")
    if route and route.maintenance and max(len(each.encode()) for each in config.pages(route.maintenance)) > MAX_PAGE:
        raise errors.BadInput(f"the maintenance page of {host} has more than {MAX_PAGE // 1024} KiB")
