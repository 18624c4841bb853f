# SPDX-License-Identifier: Apache-2.0
"""The certificates that HAProxy serves: a file for each host and a list of them, and the running process's own copy.

Used by the router driver only, by one process at a time. The files come last where the running process is told too:
what they say has been taken up, however that ended.
"""

from __future__ import annotations

import os
import pathlib

from stackyard.drivers.routers.haproxy_socket import ControlSocket
from stackyard.model import errors
from stackyard.model.ports import digest

DEFAULT = "_default"
LIST = "certs.list"


class Shelf:
    """The certificates in the router's folder (`certs/HOST.pem`: chain and key)."""

    def __init__(self, folder: pathlib.Path, control: ControlSocket) -> None:
        self._folder = folder
        self._control = control

    def mark(self, host: str) -> str:
        """Return the digest of what is served for the host; empty when that is the default."""
        try:
            return digest((self._folder / _name(host)).read_text())
        except FileNotFoundError:
            return ""

    def keep(self, host: str, pem: str) -> None:
        """Write the host's certificate for the next start or reload."""
        write(self._folder / _name(host), pem)
        listed = self._listed()
        if _name(host) not in listed:
            self._write_list([*listed, _name(host)])

    def serve(self, host: str, pem: str) -> None:
        """Let the running process serve it from now on, without a reload, and keep it; raises Unavailable."""
        name = _name(host)
        if name not in self._running():
            self._control.ask(f"new ssl cert {name}", None)
        self._control.ask(f"set ssl cert {name} <<\n{pem.strip()}\n", None)
        answer = self._control.ask(f"commit ssl cert {name}", None)
        if "Success" not in answer:
            raise errors.Unavailable(f"the router refused the certificate of {host}: {answer}")
        if name not in self._control.ask(f"show ssl crt-list {LIST}", None).split():
            self._control.ask(f"add ssl crt-list {LIST} {name}", None)
        self.keep(host, pem)

    def forget(self, host: str) -> None:
        """Take the host's certificate away, from the next reload on."""
        listed = self._listed()
        if _name(host) in listed:  # first from the list: HAProxy does not start when a file of it is missing
            self._write_list([each for each in listed if each != _name(host)])
        (self._folder / _name(host)).unlink(missing_ok=True)

    def prepare(self, pem: str) -> None:
        """Write the default certificate, first in the list; certificates of hosts stay."""
        write(self._folder / _name(DEFAULT), pem)
        present = [each for each in self._listed() if each != _name(DEFAULT) and (self._folder / each).exists()]
        self._write_list([_name(DEFAULT), *present])

    def _running(self) -> list[str]:
        return self._control.ask("show ssl cert", None).split()

    def _listed(self) -> list[str]:
        path = self._folder / LIST
        return path.read_text().split() if path.exists() else []

    def _write_list(self, names: list[str]) -> None:
        write(self._folder / LIST, "".join(f"{name}\n" for name in names))


def write(path: pathlib.Path, text: str) -> bool:
    """Replace a file whole (0600); nothing happens, and False is returned, when it says the same already."""
    if path.exists() and path.read_text() == text:
        return False
    draft = path.with_name(f".{path.name}.draft")  # HAProxy reads *.cfg only, and none that begins with a dot
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
    return True


def _name(host: str) -> str:
    return f"certs/{host}.pem"
