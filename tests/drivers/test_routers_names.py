# SPDX-License-Identifier: Apache-2.0
"""Names, TLS, rules and access lines of the router, against a real HAProxy."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import pathlib
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest
import websocket

from stackyard.drivers.certificates.hosts import HostCertificates
from stackyard.drivers.routers import haproxy, haproxy_config
from stackyard.drivers.routers.access import AccessLog
from stackyard.model import errors
from stackyard.model.applications import Maintenance
from stackyard.model.logs import LogLine
from stackyard.model.ports import Route, TLSPair
from tests.drivers.test_routers import HOST, HAProxy, Replica, free_port, replicas, wait

__all__ = ["replicas"]

pytestmark = pytest.mark.engine
OWNER = "app-1/production"
Make = Callable[[str], Replica]


class TLSProxy(HAProxy):
    """A HAProxy that serves HTTPS too, with certificates of a CA of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(folder)
        self.tls_port = free_port()
        self.certificates = HostCertificates(folder / "ca")
        self.certificates.prepare("test")
        default = self.certificates.certificate("localhost")
        haproxy.prepare(folder, haproxy.Listen("127.0.0.1", self.port, self.tls_port, default))

    def route(self, host: str = HOST, **fields: object) -> Route:
        return Route(OWNER, pair=self.certificates.certificate(host), **fields)  # type: ignore[arg-type]

    def https(self, host: str = HOST, path: str = "/", *, http2: bool = False, **headers: str) -> httpx.Response:
        context = ssl.create_default_context(cafile=str(self.certificates.ca))
        with httpx.Client(verify=context, http2=http2, trust_env=False, timeout=20) as client:
            url = f"https://127.0.0.1:{self.tls_port}{path}"
            sent = {"Host": f"{host}:{self.tls_port}", **headers}
            return client.get(url, headers=sent, extensions={"sni_hostname": host})


@pytest.fixture
def proxy() -> Iterator[TLSProxy]:
    with tempfile.TemporaryDirectory(prefix="sytest-router-") as folder:
        made = TLSProxy(pathlib.Path(folder))
        with made.stack:
            made.start()
            yield made


def test_https_and_http2_with_a_certificate_of_the_platform(proxy: TLSProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    plain, second = proxy.https(), proxy.https(http2=True)
    assert (plain.status_code, plain.http_version) == (200, "HTTP/1.1")
    assert (second.status_code, second.http_version) == (200, "HTTP/2")
    assert second.text.split()[:3] == ["one", "127.0.0.1", "https"]
    assert second.text.endswith(f" {proxy.tls_port}")
    assert proxy.get(HOST)[1].split()[2] == "http"


def test_an_unknown_name_has_no_certificate_that_fits(proxy: TLSProxy) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        proxy.https("unknown.demo.localhost")


def test_a_certificate_is_replaced_without_a_reload_and_comes_back_after_a_restart(
    proxy: TLSProxy, replicas: Make
) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    first, generation = served_by(proxy), (proxy.folder / "conf.d/_generation.cfg").read_text()
    proxy.certificates.forget(HOST)
    route = proxy.route()
    assert proxy.router.told(HOST).mark != route.mark
    proxy.router.put(HOST, proxy.router.servers(HOST), route)
    assert proxy.router.told(HOST).mark == route.mark
    second = served_by(proxy)
    assert second != first
    assert (proxy.folder / "conf.d/_generation.cfg").read_text() == generation
    proxy.stack.close()
    proxy.start()
    assert served_by(proxy) == second


def served_by(proxy: TLSProxy) -> bytes:
    """Return the certificate that is shown for the host."""
    context = ssl.create_default_context(cafile=str(proxy.certificates.ca))
    raw = socket.create_connection(("127.0.0.1", proxy.tls_port))
    with context.wrap_socket(raw, server_hostname=HOST) as connection:
        shown = connection.getpeercert(binary_form=True)
        assert shown
        return shown


def test_a_wrong_certificate_is_refused_and_the_last_one_stays(proxy: TLSProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    first = served_by(proxy)
    broken = TLSPair("", proxy.certificates.certificate(HOST).cert, proxy.certificates.certificate("b.localhost").key)
    with pytest.raises(errors.Unavailable, match="certificate"):
        proxy.router.put(HOST, {}, Route(OWNER, pair=broken))
    assert served_by(proxy) == first


def test_plain_http_is_sent_to_https_where_asked_for(proxy: TLSProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route(https_only=True))
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://127.0.0.1:{proxy.port}/a?b=1", headers={"Host": f"{HOST}:{proxy.port}"})
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{HOST}:{proxy.tls_port}/a?b=1"
    assert proxy.https().status_code == 200


def test_maintenance_answers_for_the_application_until_it_is_over(proxy: TLSProxy, replicas: Make) -> None:
    one = replicas("one")
    page = '<!doctype html>\n<title>"Back soon" 100 %</title>\n'
    route = proxy.route(maintenance=Maintenance("Back at 5 o'clock", page))
    proxy.router.put(HOST, {"c1": one.address}, route)
    plain, browser = proxy.https(), proxy.https(Accept="text/html,application/xhtml+xml")
    assert (plain.status_code, plain.text) == (503, "Back at 5 o'clock\n")
    assert plain.headers["retry-after"] == "60"
    assert (browser.status_code, browser.text.strip()) == (503, page.strip())
    assert browser.headers["content-type"].startswith("text/html")
    two = replicas("two")
    proxy.router.put(HOST, {"c2": two.address})  # a push meanwhile
    assert proxy.https().status_code == 503
    proxy.stack.close()
    proxy.start()
    assert proxy.https().status_code == 503
    assert proxy.router.told(HOST).mark == route.mark
    proxy.router.put(HOST, {"c2": two.address}, proxy.route())
    assert proxy.https().text.startswith("two ")


def test_without_a_replica_the_note_says_why(proxy: TLSProxy, replicas: Make) -> None:
    route = proxy.route(note="web is scaled to 0 replicas")
    proxy.router.put(HOST, {}, route)
    status, text = proxy.get(HOST)
    assert (status, text) == (
        503,
        f"{HOST} has no replica that is ready: web is scaled to 0 replicas. See: stackyard ps APP\n",
    )
    browser = proxy.https(Accept="text/html")
    assert browser.headers["content-type"].startswith("text/html")
    assert "scaled to 0 replicas" in browser.text
    assert proxy.router.told(HOST) == haproxy.Told(route.mark, route.note)
    proxy.router.put(HOST, {"c1": replicas("one").address})
    assert proxy.get(HOST)[0] == 200
    proxy.router.put(HOST, {}, proxy.route(note="another reason"))
    assert "another reason" in proxy.get(HOST)[1]


def test_an_unknown_host_is_told_as_a_page_without_its_words(proxy: TLSProxy) -> None:
    status, text = proxy.get("<b>.localhost", headers={"Accept": "text/html"})
    assert status == 404
    assert "No application is served at ?b?.localhost" in text


def test_limits_have_answers_of_their_own(proxy: TLSProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    assert proxy.get(HOST, "/" + "a" * haproxy_config.MAX_URL) == (414, "The URL is longer than 8192 bytes.\n")
    many = {f"X-{number}": "1" for number in range(haproxy_config.MAX_HEADERS + 1)}
    assert proxy.get(HOST, headers=many) == (431, "The request has more than 100 headers.\n")
    large = {"X-Large": "a" * (haproxy_config.MAX_HEADER_BYTES + 1)}
    assert proxy.get(HOST, headers=large) == (431, "The request's headers have more than 16 KiB.\n")
    assert proxy.get(HOST, "/" + "a" * 8000, {"X-Large": "a" * 7000})[0] == 200
    assert proxy.get(HOST, headers={"X-Large": "a" * 60000})[0] == 400  # HAProxy's own words: it was never read


class Echo(http.server.BaseHTTPRequestHandler):
    """A websocket server (RFC 6455) that answers one short text frame with the same text."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while (head := self.rfile.read(2)) and head[0] & 15 == 1:
            mask, text = self.rfile.read(4), self.rfile.read(head[1] & 127)
            clear = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
            self.wfile.write(bytes([0x81, len(clear)]) + clear)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websockets_pass_both_ports(proxy: TLSProxy, scheme: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    proxy.router.put(HOST, {"c1": f"127.0.0.1:{server.server_address[1]}"}, proxy.route())
    port = proxy.tls_port if scheme == "wss" else proxy.port
    context = ssl.create_default_context(cafile=str(proxy.certificates.ca))
    raw = socket.create_connection(("127.0.0.1", port))
    connection = context.wrap_socket(raw, server_hostname=HOST) if scheme == "wss" else raw
    client = websocket.create_connection(f"{scheme}://{HOST}:{port}/chat", socket=connection)
    for word in ("hello", "again"):
        client.send(word)
        assert client.recv() == word
    client.close()
    server.shutdown()
    server.server_close()


def test_a_kill_between_file_and_reload_is_told_as_undone(proxy: TLSProxy, replicas: Make) -> None:
    one = replicas("one")
    proxy.router.put(HOST, {"c1": one.address}, proxy.route())
    route = proxy.route(maintenance=Maintenance("closed"))
    killed = haproxy.HAProxyRouter(proxy.folder)

    def die() -> None:
        raise KeyboardInterrupt

    killed._reload = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.put(HOST, {"c1": one.address}, route)
    assert proxy.get(HOST)[0] == 200
    assert proxy.router.told(HOST).mark != route.mark
    proxy.router.put(HOST, {"c1": one.address}, route)
    assert proxy.router.told(HOST).mark == route.mark
    assert proxy.get(HOST) == (503, "closed\n")


def test_hosts_belong_to_owners_and_only_theirs_remove_them(proxy: TLSProxy, replicas: Make) -> None:
    one = replicas("one")
    proxy.router.put(HOST, {"c1": one.address}, proxy.route())
    proxy.router.put("www.example.org", {"c1": one.address}, proxy.route("www.example.org"))
    assert proxy.router.hosts(OWNER) == [HOST, "www.example.org"]
    other = Route("app-2/production", pair=proxy.certificates.certificate("www.example.org"))
    proxy.router.put("www.example.org", {"c1": one.address}, other)
    assert proxy.router.hosts(OWNER) == [HOST]
    proxy.router.remove("www.example.org", OWNER)
    assert proxy.router.hosts("app-2/production") == ["www.example.org"]
    assert proxy.get("www.example.org")[0] == 200
    proxy.router.remove("www.example.org", "app-2/production")
    assert proxy.get("www.example.org")[0] == 404
    left = [path for path in proxy.folder.glob("*/**/www.example.org*") if path.parent.name != "ca"]
    assert not left
    proxy.stack.close()
    proxy.start()
    assert proxy.https().status_code == 200


@pytest.mark.parametrize(
    "route", [Route("no owner"), Route(OWNER, note='"\nx'), Route(OWNER, maintenance=Maintenance(page="a" * 25000))]
)
def test_bad_routes_are_refused(tmp_path: pathlib.Path, route: Route) -> None:
    with pytest.raises(errors.BadInput):
        haproxy.HAProxyRouter(tmp_path).put(HOST, {}, route)


def test_a_line_for_each_request_without_its_query(proxy: TLSProxy, replicas: Make) -> None:
    found: dict[str, list[LogLine]] = {}

    def append(workload: str, lines: Sequence[LogLine]) -> None:
        found.setdefault(workload, []).extend(lines)

    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    AccessLog(proxy.folder, append).start()
    wait((proxy.folder / "run/access.sock").exists)
    began = time.time()
    proxy.get(HOST, "/a?token=secret")
    proxy.https(path="/b", http2=True)
    proxy.get("unknown.localhost")
    for number in range(200):
        proxy.get(HOST, f"/{number}")
    proxy.router.put("other.localhost", {})  # a reload: both processes write
    proxy.get(HOST, "/last")
    wait(lambda: any("/last " in line.text for line in found.get("app-1", [])))
    lines = found.pop("app-1")
    assert not found
    assert [line.text.split()[1] for line in lines] == ["/a", "/b", *(f"/{number}" for number in range(200)), "/last"]
    assert lines[0].text.startswith("GET /a 200 ")
    assert lines[0].text.endswith(" 127.0.0.1 HTTP/1.1 http c1")
    assert " HTTP/2.0 https c1" in lines[1].text
    assert "secret" not in json.dumps([line.text for line in lines])
    assert {(line.service, line.stream) for line in lines} == {("router", "access")}
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert abs(time.time() - began) < 30
    wait(lambda: proxy.router.traffic("app-1").requests > 0)
    asked = proxy.router.traffic("app-1")
    assert asked.errors == 0
    assert 0 <= (asked.p50 or 0) <= (asked.p99 or 0)
    assert proxy.router.traffic("app-2").requests == 0


def test_requests_do_not_wait_for_a_reader_of_lines(proxy: TLSProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address}, proxy.route())
    for _ in range(100):
        assert proxy.get(HOST, "/" + "a" * 4000)[0] == 200
    found: list[LogLine] = []
    AccessLog(proxy.folder, lambda _, lines: found.extend(lines)).start()
    wait(lambda: len(found) >= 100)
