# SPDX-License-Identifier: Apache-2.0
"""The two servers that are asked the same: Magnum's real API in a process of its own, and ours in this one."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys
from typing import Protocol

import requests

from stackyard.model.phase import IN_PROGRESS, Phase, Trigger, after
from tests.api.world import World
from tests.oracle.answers import Answer, answer
from tests.oracle.story import WHO, Ask, Order, filled

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-oracle" / "bin" / "python"
PREFIX = "/container-infra"


class Server(Protocol):
    """A server in a story: it answers requests, remembers ids, and obeys orders."""

    kept: dict[str, str]

    def ask(self, what: Ask) -> Answer:
        """Send a request; return the answer."""

    def obey(self, order: Order) -> None:
        """Do what a driver or operator would."""


class Magnum:
    """Magnum's own API; one process for all stories, emptied before each."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.kept: dict[str, str] = {}
        self._log = (folder / "magnum.log").open("wb")
        command = [PYTHON, pathlib.Path(__file__).with_name("magnum_server.py"), folder]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        port = self._process.stdout.readline().decode().strip() if self._process.stdout else ""
        if not port:
            sys.exit(f"Magnum did not start; see {folder}/magnum.log")
        self._url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def begin(self) -> None:
        """Forget everything."""
        self.kept = {}
        self.obey(Order("reset"))

    def ask(self, what: Ask) -> Answer:
        """Send a request over HTTP, with what Keystone's middleware would say of the caller."""
        path, data, headers = what.sent(self.kept)
        prepared = requests.Request(what.method, self._url + path, headers | _caller(what.who), data=data).prepare()
        if not data:
            prepared.headers["Content-Length"] = "0"
        got = self._session.send(prepared, allow_redirects=False, timeout=60)
        _keep(self.kept, what, got.content)
        return answer(got.status_code, got.headers, got.content, self._url, self.kept)

    def obey(self, order: Order) -> None:
        """Call one of the server's orders."""
        body = filled(order.arguments, self.kept)
        self._session.post(f"{self._url}/oracle/{order.name}", json=body, timeout=60).raise_for_status()


class Ours:
    """Our API in process, in a world of its own."""

    def __init__(self, world: World) -> None:
        self.kept: dict[str, str] = {}
        self.world = world

    def ask(self, what: Ask) -> Answer:
        """Send a request to the WSGI application."""
        path, data, headers = what.sent(self.kept)
        headers["X-Auth-Token"] = WHO[what.who]
        got = self.world.client.open(PREFIX + path, method=what.method, data=data, headers=headers)
        _keep(self.kept, what, got.data)
        return answer(got.status_code, got.headers, got.data, f"http://localhost{PREFIX}", self.kept)

    def obey(self, order: Order) -> None:
        """Do through the store what the worker would."""
        getattr(self, f"_{order.name}")(**filled(order.arguments, self.kept))

    def _reach(self, uuid: str) -> None:
        seen = self.world.ready(uuid).observed
        self.world.reach("clusters", uuid, observed=dataclasses.replace(seen, health_reason={"api": "ok"}))
        self._groups(uuid, Trigger.REACHED, None)

    def _fail(self, uuid: str, reason: str) -> None:
        self.world.fail("clusters", uuid, reason)
        self._groups(uuid, Trigger.GAVE_UP, reason)

    def _beat(self) -> None:
        with self.world.store.saving() as tx:
            tx.services.beat("here")

    def _groups(self, uuid: str, trigger: Trigger, reason: str | None) -> None:
        with self.world.store.saving() as tx:
            for group in tx.nodegroups.of([uuid])[uuid]:
                if group.phase in IN_PROGRESS:
                    phase = after(group.phase, trigger)
                    tx.nodegroups.save(dataclasses.replace(group, phase=phase, status_reason=reason))
                elif group.phase is Phase.GONE:
                    tx.nodegroups.delete(group.id)


def _caller(who: str) -> dict[str, str]:
    user, _, rest = WHO[who].partition("@")
    project, _, roles = rest.partition(":")
    return {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": user,
        "X-Project-Id": f"id-{project}",
        "X-Project-Name": project,
        "X-Roles": roles,
    }


def _keep(kept: dict[str, str], what: Ask, data: bytes) -> None:
    if what.keep:
        found = re.search(rb'"uuid": ?"([^"]+)"', data)
        kept[what.keep] = found[1].decode() if found else f"no-{what.keep}"
