# SPDX-License-Identifier: Apache-2.0
"""The router against a real HAProxy (the machine's, else the one of our image) and real replicas on loopback."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import docker
import pytest

from stackyard.drivers.routers import haproxy
from stackyard.drivers.routers import haproxy_config as config
from stackyard.drivers.routers.haproxy import HAProxyRouter
from stackyard.model import errors

pytestmark = pytest.mark.engine
HOST = "guestbook.demo.localhost"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class HAProxy:
    """One HAProxy with a folder and port of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.port = folder, free_port()
        haproxy.prepare(folder, haproxy.Listen("127.0.0.1", self.port))
        self.router = HAProxyRouter(folder)
        self.stack = contextlib.ExitStack()

    def start(self) -> None:
        if shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"):
            self._start_binary()
        else:
            self._start_container()
        wait(self.answers)

    def _start_binary(self) -> None:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                ["haproxy", *haproxy.COMMAND],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"},
            )
        self.stack.callback(process.wait)
        self.stack.callback(lambda: os.killpg(process.pid, 9))

    def _start_container(self) -> None:
        from stackyard.local import images  # noqa: PLC0415  (only where no haproxy is installed)

        client = docker.from_env()
        container = client.containers.run(
            images.build(client, ["haproxy"], lambda *_: None)["haproxy"],
            list(haproxy.COMMAND),
            name=f"sytest-router-{uuid.uuid4().hex[:8]}",
            network_mode="host",
            user=f"{os.getuid()}:{os.getgid()}",
            working_dir="/router",
            volumes={str(self.folder): {"bind": "/router", "mode": "rw"}},
            detach=True,
        )
        self.stack.callback(container.remove, force=True)

    def answers(self) -> bool:
        with contextlib.suppress(errors.Unavailable):
            self.router.servers("none.localhost")
            return self.get("none.localhost")[0] == 404
        return False

    def get(self, host: str, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()


@pytest.fixture
def proxy() -> Iterator[HAProxy]:
    with tempfile.TemporaryDirectory(prefix="sytest-router-") as folder:
        made = HAProxy(pathlib.Path(folder))
        with made.stack:
            made.start()
            yield made


class Replica(http.server.ThreadingHTTPServer):
    """Answers with its own name and what it saw; /slow takes a second."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replica

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port")
        body = " ".join([self.server.name, *(self.headers[name] for name in names)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def replicas() -> Iterator[Callable[[str], Replica]]:
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Replica:
            replica = Replica(name)
            stack.callback(replica.stop)
            return replica

        yield make


Make = Callable[[str], Replica]


def test_routes_by_host_whatever_its_case_and_port(proxy: HAProxy, replicas: Make) -> None:
    one, two = replicas("one"), replicas("two")
    proxy.router.put(HOST, {"c1": one.address})
    proxy.router.put("other.demo.localhost", {"c2": two.address})
    assert proxy.router.servers(HOST) == {"c1": one.address}
    assert proxy.router.hosts() == [HOST, "other.demo.localhost"]
    assert proxy.get(f"GuestBook.Demo.Localhost:{proxy.port}")[1].startswith("one 127.0.0.1 http GuestBook")
    assert proxy.get("other.demo.localhost")[1].startswith("two ")


def test_clients_can_not_forge_who_they_are(proxy: HAProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address})
    answer = proxy.get(HOST, headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Port": "1", "X-Forwarded-Proto": "x"})
    assert answer == (200, f"one 127.0.0.1 http {HOST} {proxy.port}")


def test_unknown_host_and_no_ready_replica_are_told_apart(proxy: HAProxy) -> None:
    status, text = proxy.get("nobody.localhost")
    assert status == 404
    assert "nobody.localhost" in text
    assert "stackyard apps" in text
    proxy.router.put(HOST, {})
    status, text = proxy.get(HOST)
    assert status == 503
    assert "stackyard ps" in text
    for internal in ("apps", "_unknown", "<HTTPCLIENT>", "master"):
        assert proxy.get(internal)[0] == 404


def test_a_dead_replica_costs_no_request(proxy: HAProxy, replicas: Make) -> None:
    one, two = replicas("one"), replicas("two")
    proxy.router.put(HOST, {"c1": one.address, "c2": two.address})
    one.stop()
    assert {proxy.get(HOST)[0] for _ in range(10)} == {200}


def test_old_server_finishes_its_request_and_is_then_forgotten(proxy: HAProxy, replicas: Make) -> None:
    old, new = replicas("old"), replicas("new")
    proxy.router.put(HOST, {"old": old.address})
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(proxy.get(HOST, "/slow")))
    slow.start()
    wait(lambda: not proxy.router.idle(HOST, "old"))
    proxy.router.put(HOST, {"new": new.address})
    assert proxy.router.servers(HOST) == {"new": new.address}
    assert not proxy.router.idle(HOST, "old")
    assert proxy.get(HOST)[1].startswith("new ")
    slow.join()
    assert answers[0][1].startswith("old ")
    wait(lambda: proxy.router.idle(HOST, "old"))
    assert proxy.router._socket.servers(HOST).keys() == {"new"}
    assert proxy.router.idle(HOST, "never-heard-of")


def test_a_request_of_before_a_reload_still_counts(proxy: HAProxy, replicas: Make) -> None:
    old, new = replicas("old"), replicas("new")
    proxy.router.put(HOST, {"old": old.address})
    slow = threading.Thread(target=proxy.get, args=(HOST, "/slow"))
    slow.start()
    wait(lambda: not proxy.router.idle(HOST, "old"))
    proxy.router.put("another.localhost", {})  # makes HAProxy reload
    proxy.router.put(HOST, {"new": new.address})
    assert not proxy.router.idle(HOST, "old")
    slow.join()
    wait(lambda: proxy.router.idle(HOST, "old"))


def test_put_twice_and_back_and_with_a_changed_address(proxy: HAProxy, replicas: Make) -> None:
    one, two = replicas("one"), replicas("two")
    for servers in ({"c1": one.address}, {"c1": one.address}, {}, {"c1": one.address}, {"c1": two.address}):
        proxy.router.put(HOST, servers)
        assert proxy.router.servers(HOST) == servers
    assert proxy.get(HOST)[1].startswith("two ")


def test_removed_host_is_gone_and_can_be_removed_again(proxy: HAProxy, replicas: Make) -> None:
    proxy.router.put(HOST, {"c1": replicas("one").address})
    for _ in range(2):
        proxy.router.remove(HOST)
        assert proxy.get(HOST)[0] == 404
        assert proxy.router.hosts() == []
        assert proxy.router.servers(HOST) == {}


def test_a_restart_comes_back_with_what_was_asked_for_last(proxy: HAProxy, replicas: Make) -> None:
    one, two = replicas("one"), replicas("two")
    proxy.router.put(HOST, {"c1": one.address})
    proxy.router.put(HOST, {"c2": two.address})
    proxy.stack.close()
    with pytest.raises(errors.Unavailable, match="stackyard up"):
        proxy.router.put(HOST, {"c1": one.address})
    with pytest.raises(errors.Unavailable, match="stackyard up"):
        proxy.router.servers(HOST)
    proxy.start()
    assert proxy.router.servers(HOST) == {"c1": one.address}
    assert proxy.get(HOST)[1].startswith("one ")


def test_killed_between_file_and_reload_is_finished_by_the_next(proxy: HAProxy, replicas: Make) -> None:
    one = replicas("one")
    (proxy.folder / "conf.d" / f"{HOST}.cfg").write_text(
        config.section("", "", config.head(HOST, None), {"c1": one.address})
    )
    proxy.router.put(HOST, {"c1": one.address})
    assert proxy.get(HOST)[0] == 200
    (proxy.folder / "conf.d" / f"{HOST}.cfg").unlink()
    assert proxy.router.hosts() == [HOST]
    proxy.router.remove(HOST)
    assert proxy.get(HOST)[0] == 404


@pytest.mark.parametrize("host", ["", "a b", "A.localhost", "../x", "a..b", "a\nbackend x", "x" * 300, "-a"])
def test_bad_host_names_are_refused(tmp_path: pathlib.Path, host: str) -> None:
    with pytest.raises(errors.BadInput, match="host name"):
        HAProxyRouter(tmp_path).put(host, {})


@pytest.mark.parametrize(
    "server", [("a b", "127.0.0.1:1"), ("a", "127.0.0.1"), ("a", "h:1"), ("a", "1.2.3.4:0"), ("a", "1.2.3.4:5\nx")]
)
def test_bad_servers_are_refused(tmp_path: pathlib.Path, server: tuple[str, str]) -> None:
    with pytest.raises(errors.BadInput, match="server"):
        HAProxyRouter(tmp_path).put(HOST, dict([server]))


def test_many_workers_at_once_leave_what_each_asked_for(proxy: HAProxy, replicas: Make) -> None:
    one = replicas("one")
    hosts = [f"app{number}.localhost" for number in range(6)]

    def work(host: str) -> None:
        router = HAProxyRouter(proxy.folder)
        router.put(host, {"a": one.address})
        router.put(host, {"b": one.address})

    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {host: proxy.router.servers(host) for host in hosts} == {host: {"b": one.address} for host in hosts}


class Load(threading.Thread):
    """One client that keeps its connection and sends a request every `pause` seconds."""

    def __init__(self, port: int, pause: float, over: threading.Event) -> None:
        super().__init__()
        self.port, self.pause, self.over = port, pause, over
        self.served: dict[str, int] = {}
        self.failed: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.over.wait(self.pause):
            try:
                connection.request("GET", "/", headers={"Host": HOST})
                answer = connection.getresponse()
                name = answer.read().decode().split()[0]
                if answer.status == 200:
                    self.served[name] = self.served.get(name, 0) + 1
                else:
                    self.failed.append(f"{answer.status} {name}")
                if answer.will_close:  # the server said so: the next request takes a new connection
                    connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()


def test_no_request_fails_while_servers_and_hosts_come_and_go(proxy: HAProxy, replicas: Make) -> None:
    current = replicas("v0")
    proxy.router.put(HOST, {"v0": current.address})
    over = threading.Event()
    clients = [Load(proxy.port, 0.1, over) for _ in range(20)]  # 20 clients x 10 requests/s
    for client in clients:
        client.start()
    time.sleep(0.3)
    for number in range(1, 9):
        new = replicas(f"v{number}")
        proxy.router.put(HOST, {f"v{number}": new.address})
        wait(lambda old=f"v{number - 1}": proxy.router.idle(HOST, old))
        current.stop()
        current = new
        if number % 3 == 0:
            proxy.router.put(f"other{number}.localhost", {})  # a reload under load
        time.sleep(0.3)
    over.set()
    for client in clients:
        client.join()
    failed = [failure for client in clients for failure in client.failed]
    served = sum(sum(client.served.values()) for client in clients)
    assert not failed, f"{len(failed)} of {served + len(failed)}: {failed[:3]}"
    assert served > 200
    assert {name for client in clients for name in client.served} >= {f"v{number}" for number in range(9)}
