# SPDX-License-Identifier: Apache-2.0
"""Names, HTTPS, maintenance and the access log of an application on a whole platform."""

from __future__ import annotations

import pathlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import websocket

from stackyard import conf
from stackyard.drivers.certificates.x509 import X509
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

HOST = "names.demo.localhost"
OWN = "www.names.example.org"
SERVER = """import base64, hashlib, http.server, os
class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.headers.get("Upgrade") == "websocket":
            return self.echo()
        body = f"hello {self.headers['X-Forwarded-Proto']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        head = self.rfile.read(2)
        mask, text = self.rfile.read(4), self.rfile.read(head[1] & 127)
        clear = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        self.wfile.write(bytes([0x81, len(clear)]) + clear)
        self.close_connection = True
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Hello).serve_forever()
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def app(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An application `names` that serves, on a cluster of one node."""
    shell.ok("cluster", "create", "names", "--nodes", "1")
    folder = tmp_path_factory.mktemp("names")
    (folder / "requirements.txt").write_text("")
    (folder / "Procfile").write_text("web: python app.py\n")
    (folder / "app.py").write_text(SERVER)
    shell.ok("push", str(folder), "--app", "names", "--cluster", "names")
    yield "names"
    shell.run("stackyard", "destroy", "names", "--yes")
    shell.ok("cluster", "delete", "names")


class Client:
    """Asks the router as clients do, by name, without DNS."""

    def __init__(self, shell: Shell) -> None:
        folder = pathlib.Path(shell.environment["STACKYARD_STATE_DIR"])
        options = conf.load(folder / "stackyard.conf")
        self.port, self.tls_port = options.router.port, conf.tls_port(options)
        self.ca = folder / "certificates" / "stackyard-ca.crt"

    def get(self, host: str, path: str = "/", ca: pathlib.Path | None = None, **headers: str) -> httpx.Response:
        """Ask by HTTPS, HTTP/2 where it is offered; the certificate is verified."""
        context = ssl.create_default_context(cafile=str(ca or self.ca))
        with httpx.Client(verify=context, http2=True, trust_env=False, timeout=20) as client:
            url, sent = f"https://127.0.0.1:{self.tls_port}{path}", {"Host": host, **headers}
            return client.get(url, headers=sent, extensions={"sni_hostname": host})

    def plain(self, host: str, path: str = "/", **headers: str) -> httpx.Response:
        """Ask by HTTP."""
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.get(f"http://127.0.0.1:{self.port}{path}", headers={"Host": host, **headers})


@pytest.fixture(scope="module")
def client(shell: Shell) -> Client:
    return Client(shell)


def wait(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_the_applications_own_name_has_https_and_http2(shell: Shell, app: str, client: Client) -> None:
    answer = client.get(HOST)
    assert (answer.status_code, answer.text, answer.http_version) == (200, "hello https", "HTTP/2")
    exports = shell.ok("env")
    assert f"export STACKYARD_CA={client.ca}" in exports
    status = {part["part"]: part for part in shell.json("status")}
    assert str(client.tls_port) in status["router"]["note"]


def test_an_own_domain_is_served_without_a_new_release(shell: Shell, app: str, client: Client) -> None:
    before = shell.json("ps", app)[0]["endpoint"]
    shell.ok("domains", app, "add", OWN)
    assert client.get(OWN).text == "hello https"
    assert client.plain(OWN).text == "hello http"
    assert shell.json("ps", app)[0]["endpoint"] == before
    assert len(shell.json("releases", app)) == 1
    shell.ok("domains", app, "add", OWN, "--https-only")
    assert client.plain(OWN, "/a?b=1").headers["location"] == f"https://{OWN}:{client.tls_port}/a?b=1"


def test_a_given_certificate_is_served(shell: Shell, app: str, client: Client, tmp_path: pathlib.Path) -> None:
    authority = X509().authority("mine")
    pair = X509().server_of(authority, [OWN], [], days=10)
    for name, text in (("ca", authority.cert), ("cert", pair.cert), ("key", pair.key)):
        (tmp_path / name).write_text(text)
    words = ("--cert", str(tmp_path / "cert"), "--key", str(tmp_path / "key"))
    assert "does not cover" in shell.refused("domains", app, "add", "no.example.org", *words)
    shell.ok("domains", app, "add", OWN, *words)
    assert client.get(OWN, ca=tmp_path / "ca").status_code == 200
    with pytest.raises(httpx.ConnectError):
        client.get(OWN)
    shell.ok("domains", app, "add", OWN, "--platform-cert")
    wait(lambda: served(client, OWN))


def served(client: Client, host: str) -> bool:
    try:
        return client.get(host).status_code == 200
    except httpx.ConnectError:
        return False


def test_a_websocket_passes(app: str, client: Client) -> None:
    context = ssl.create_default_context(cafile=str(client.ca))
    raw = socket.create_connection(("127.0.0.1", client.tls_port), 20)
    connection = context.wrap_socket(raw, server_hostname=HOST)
    peer = websocket.create_connection(f"wss://{HOST}:{client.tls_port}/", socket=connection)
    peer.send("hello")
    assert peer.recv() == "hello"
    peer.close()


def test_maintenance_and_reasons_without_replicas(shell: Shell, app: str, client: Client) -> None:
    shell.ok("maintenance", app, "on", "--message", "Back at 5")
    answer = client.get(HOST)
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "Back at 5\n", "60")
    assert "<p>Back at 5</p>" in client.get(HOST, Accept="text/html").text
    wait(lambda: client.get(OWN).status_code == 503)
    shell.ok("maintenance", app, "off")
    wait(lambda: client.get(OWN).status_code == 200)
    assert client.get(HOST).status_code == 200
    shell.ok("scale", app, "web=0")
    wait(lambda: "web is scaled to 0 replicas" in client.plain(HOST).text)
    assert client.plain(HOST).status_code == 503
    shell.ok("scale", app, "web=1")
    wait(lambda: client.plain(HOST).status_code == 200)
    shell.ok("domains", app, "remove", OWN)
    wait(lambda: client.plain(OWN).status_code == 404)


def test_requests_are_lines_of_the_log_without_queries(shell: Shell, app: str, client: Client) -> None:
    client.get(HOST, "/looked-for?token=secret")
    wait(lambda: any("GET /looked-for 200" in line for line in access(shell, app)))
    assert not any("secret" in line for line in access(shell, app))


def access(shell: Shell, app: str) -> list[str]:
    """Return the router's own lines of the log; the application writes what it likes."""
    return [line for line in shell.ok("logs", app).splitlines() if line.startswith("router.")]
