# SPDX-License-Identifier: Apache-2.0
"""Leads apt inside an image build to the mirrors that this host itself uses.

Used by `stackyard.local.images` where Debian's own servers can't be reached: a small HTTP proxy that answers only
for Debian's archives. The image keeps Debian's default sources and learns nothing of the host's mirrors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse
from collections.abc import Iterable, Iterator

import requests

SOURCES = pathlib.Path("/etc/apt")
CA_BUNDLE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
RELEASE = re.compile(r"^(bullseye|bookworm|trixie|forky|sid|stable|testing|unstable)(-security|-updates|/updates)?$")
ASKED = ("If-Modified-Since", "If-Range", "Range", "Cache-Control")
TOLD = ("Content-Length", "Content-Range", "Content-Type", "Last-Modified")
PIECE = 1 << 17


@dataclasses.dataclass(frozen=True)
class Mirrors:
    """Where the host gets Debian from: URLs that stand for `/debian` and `/debian-security`, None where unknown."""

    archive: str | None = None
    security: str | None = None

    def resolve(self, path: str) -> str | None:
        """Return the URL at the host's mirror for a path of Debian's own servers, None for all else."""
        for prefix, mirror in (("/debian-security/", self.security), ("/debian/", self.archive)):
            if path.startswith(prefix) and mirror and ".." not in path:
                return f"{mirror.rstrip('/')}/{path.removeprefix(prefix)}"
        return None


def host_mirrors(folder: pathlib.Path = SOURCES) -> Mirrors:
    """Read the host's own apt sources, in both of their formats."""
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    texts = [(path, path.read_text(errors="replace")) for path in files if path.is_file()]
    entries = [
        entry for path, text in texts for entry in (_stanzas(text) if path.suffix == ".sources" else _lines(text))
    ]
    return Mirrors(_first(entries, security=False), _first(entries, security=True))


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (URL, suite, components) of the one-line format."""
    for line in text.splitlines():
        if found := re.match(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$", line):
            yield found[1], found[2], found[3]


def _stanzas(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (URL, suite, components) of the deb822 format."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = {key.lower(): value.strip() for key, value in re.findall(r"^([\w-]+):(.*)$", stanza, re.MULTILINE)}
        if fields.get("enabled", "yes") == "yes" and "deb" in fields.get("types", "").split():
            for url in fields.get("uris", "").split():
                for suite in fields.get("suites", "").split():
                    yield url, suite, fields.get("components", "")


def _first(entries: Iterable[tuple[str, str, str]], *, security: bool) -> str | None:
    """Return the first URL by HTTP that holds Debian itself (other vendors' suites have other names)."""
    for url, suite, components in entries:
        known = RELEASE.match(suite)
        whole = known and "main" in components.split() and url.startswith(("http://", "https://"))
        if whole and known and security == (known[2] in ("-security", "/updates")):
            return url
    return None


@contextlib.contextmanager
def relay(mirrors: Mirrors, address: str) -> Iterator[str]:
    """Serve as a proxy on a free port of `address` while the context lasts; yields the proxy's URL."""
    session = requests.Session()
    session.proxies.update(_apt_proxies())
    if CA_BUNDLE.exists() and "REQUESTS_CA_BUNDLE" not in os.environ:
        session.verify = str(CA_BUNDLE)
    handler = type("Handler", (_Handler,), {"mirrors": mirrors, "session": session})
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        session.close()


def _apt_proxies() -> dict[str, str]:
    """Return the proxies that the host's apt is told to use."""
    found = {}
    for scheme in ("http", "https"):
        command = ["apt-config", "shell", "url", f"Acquire::{scheme}::Proxy"]
        with contextlib.suppress(OSError):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            url = done.stdout.strip().removeprefix("url=").strip("'")
            if url and url != "DIRECT":
                found[scheme] = url
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request of apt from the host's mirror."""

    protocol_version = "HTTP/1.1"
    mirrors: Mirrors
    session: requests.Session

    def do_GET(self) -> None:
        """Pass the request on, and the answer back as it comes."""
        url = self.mirrors.resolve(urllib.parse.urlsplit(self.path).path)
        if url is None:
            self.send_error(404, "only Debian's archives are served here")
            return
        headers = {name: self.headers[name] for name in ASKED if name in self.headers}
        try:
            # Compressed files must come as they are: a length would else be that of something other.
            headers["Accept-Encoding"] = "identity"
            with self.session.get(url, headers=headers, stream=True, timeout=60) as answer:
                self._pass_back(answer)
        except requests.RequestException as error:
            self.send_error(502, type(error).__name__)

    def _pass_back(self, answer: requests.Response) -> None:
        self.send_response(answer.status_code)
        for name in TOLD:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        # An answer that tells no length ends with its connection.
        if "Content-Length" not in answer.headers and answer.status_code != 304:
            self.send_header("Connection", "close")
        self.end_headers()
        for piece in answer.raw.stream(PIECE, decode_content=False):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: apt's own output tells what was fetched."""
