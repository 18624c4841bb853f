# SPDX-License-Identifier: Apache-2.0
"""Routing by host name with HAProxy 2.6 or newer: the `Router` port.

Used by the workers, several at a time. A folder shared with HAProxy holds its base configuration, one file for
each host name, and its control sockets. Servers come and go through the runtime API; only a new or removed host
makes HAProxy reload, which loses no connection. The files always say what was asked for last, so that a restarted
HAProxy comes back right. Who runs HAProxy, and from which image, is not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import pathlib
import re
import time
from collections.abc import Iterator, Mapping

from stackyard.drivers.routers.haproxy_socket import ControlSocket, Server
from stackyard.model import errors

NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*")
MAX_HOST = 240  # with its suffix the host is a file name
RELOAD_SECONDS = 15
INTERNAL = "_unknown"

BASE = """\
# Written by `stackyard up`; changes are lost.
global
    log stdout format raw local0 warning
    maxconn 4000
    hard-stop-after 30m
    stats socket unix@run/admin.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    log global
    balance leastconn
    timeout connect 2s
    timeout queue 10s
    timeout client 5m
    timeout server 5m
    timeout tunnel 1h
    timeout http-request 15s
    timeout http-keep-alive 60s
    # A connection for each request to a replica: a kept one may be closed in the instant that it is used.
    option http-server-close
    # Clients' kept connections survive a reload until their next answer, so that none meets a closed door.
    option idle-close-on-response
    option redispatch 1
    retries 4
    retry-on conn-failure empty-response
    http-error status 503 content-type text/plain string "No replica of this application is ready. See: stackyard ps APP\\n"
    http-error status 502 content-type text/plain string "The replica broke off before it answered. See: stackyard logs APP\\n"
    http-error status 504 content-type text/plain string "The replica took too long to answer. See: stackyard logs APP\\n"
frontend apps
    bind {address}
    # A replica that is stopping may break off unanswered: what only reads may be asked of another.
    http-request disable-l7-retry unless METH_GET
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    use_backend %[req.hdr(host),host_only,lower]
    default_backend _unknown
backend _unknown
    http-request return status 404 content-type text/plain lf-string "No application is served at %[req.hdr(host),host_only,lower]. See: stackyard apps\\n"
"""  # noqa: E501

COMMAND = ("-W", "-S", "unix@run/master.sock,mode,600", "-f", "haproxy.cfg", "-f", "conf.d")
"""Arguments that HAProxy is to be run with, in the folder."""


def prepare(folder: pathlib.Path, host: str, port: int) -> None:
    """Write the base configuration for HAProxy to serve at `host:port`; hosts already there stay."""
    for name in ("run", "conf.d"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    _write(folder / "haproxy.cfg", BASE.format(address=address))


class HAProxyRouter:
    """Leads requests for host names to servers; implements `ports.Router`."""

    def __init__(self, folder: pathlib.Path) -> None:
        """`folder` is the one that `prepare` wrote and HAProxy runs in."""
        self._folder = folder
        self._socket = ControlSocket(folder / "run")

    def put(self, host: str, servers: Mapping[str, str]) -> None:
        """Make exactly these servers take new requests; raises BadInput for names that HAProxy can't take."""
        _check(host, servers)
        with self._alone():
            _write(self._file(host), _config(host, servers))
            if host not in self._socket.backends():
                self._reload(present=host)
            self._match(host, servers)

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

    def remove(self, host: str) -> None:
        """Answer for the host no longer; requests in flight are finished."""
        _check(host, {})
        with self._alone():
            self._file(host).unlink(missing_ok=True)
            if host in self._socket.backends():
                self._reload(absent=host)

    def hosts(self) -> list[str]:
        """Return all host names that are, or after a restart would be, routed."""
        written = {path.stem for path in (self._folder / "conf.d").glob("*.cfg")}
        return sorted(written | self._socket.backends() - {INTERNAL})

    def _match(self, host: str, servers: Mapping[str, str]) -> None:
        """Bring the running backend to `servers`: first in with the new ones, then out with the others."""
        seen = self._socket.servers(host)
        for name, address in servers.items():
            self._admit(host, name, address, seen.get(name))
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

    def _reload(self, present: str = "", absent: str = "") -> None:
        """Reload without losing a connection and wait until the new process has, or has not, the host."""
        self._socket.reload()
        deadline = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(errors.Unavailable):
                backends = self._socket.backends()
                if (not present or present in backends) and absent not in backends:
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


def _check(host: str, servers: Mapping[str, str]) -> None:
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


def _config(host: str, servers: Mapping[str, str]) -> str:
    lines = [f"    server {name} {address}" for name, address in sorted(servers.items())]
    return "\n".join([f"backend {host}", *lines, ""])


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file whole; nothing happens when it says the same already."""
    if path.exists() and path.read_text() == text:
        return
    draft = path.with_suffix(".draft")  # HAProxy reads *.cfg only
    draft.write_text(text)
    draft.replace(path)
