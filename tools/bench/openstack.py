# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own services: making their image, deploying them, what they hold, how replicas of Keystone join and go.

What others have published of theirs stands beside it as told by them; nobody has measured it on this machine. It needs
minutes, so it is measured only when it is named: `python -m tools.bench openstack`.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import copy
import datetime
import http.client
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from stackyard.local import images, recipes
from tools.bench.figure import Figure
from tools.bench.platform import Platform, until
from tools.load import Load

APP = "openstack"
FAMILY = ("openstack", "mariadb", "rabbitmq", "memcached", "haproxy")
PATHS = ("identity", "placement", "image", "network", "compute", "orchestration", "cloudformation", "dashboard")
PATIENCE_SECONDS = 900.0
RATE = 50
KOLLA = "published: Kolla all-in-one 10–15 min (2015), 18 min with Ceph on metal (2016)"
OTHERS = "published: openstack-ansible 30–50 min on metal, OSISM testbed 90–120 min"
KOLLA_BUILD = "published: Kolla's images 6–30 min (2016)"
KOLLA_SIZES = "published: Kolla's registry 1.5–2.5 GB a distribution (2016), compute kit deduplicated 1.2 GB (2017)"
KOLLA_JOIN = "published: none; Kolla runs its playbook and restarts HAProxy"


def measure(platform: Platform) -> list[Figure]:
    platform = copy.copy(platform)
    platform.environment = {**platform.environment, "OS_CLOUD": "stackyard-admin"}
    made = [*building(platform), *sizes(platform)]
    first = deployed(platform, "first: images go to registry and node")
    platform.run("openstack", "destroy", "--yes", "--keep-cluster")
    again = deployed(platform, "images are on the node")
    running = [*held(platform), *joining(platform)]
    platform.run("openstack", "destroy", "--yes", "--keep-cluster")
    small = keystone(platform)
    platform.run("openstack", "destroy", "--yes")
    return [*made, *first, *again, *running, small]


# --- images ------------------------------------------------------------------------------------


def building(platform: Platform) -> list[Figure]:
    """The image of all services without any cache of the Engine, and when it is there."""
    recipe = recipes.recipes()[APP]
    images.build(platform.engine, FAMILY, _silent)
    began = time.monotonic()
    image = platform.engine.images.build(
        fileobj=io.BytesIO(recipes.context(recipe)), custom_context=True, nocache=True, rm=True, forcerm=True
    )[0]
    cold = time.monotonic() - began
    platform.engine.images.remove(image.id, force=True)
    began = time.monotonic()
    images.build(platform.engine, FAMILY, _silent)
    cached = time.monotonic() - began
    return [
        Figure("OpenStack's image made without any cache", "s", [cold], (), KOLLA_BUILD),
        Figure("OpenStack's images asked for when they are there", "s", [cached], (), ", ".join(FAMILY)),
    ]


def _silent(_name: str, _line: str) -> None:
    """Say nothing of the progress."""


def sizes(platform: Platform) -> list[Figure]:
    """Bytes of the layers of all images, each once, and of the largest image alone."""
    layers: dict[str, int] = {}
    known = recipes.recipes()
    for name in FAMILY:
        layers |= _layers(platform, known[name].reference)
    alone = sum(_layers(platform, known[APP].reference).values())
    return [
        Figure("OpenStack's images, each layer once", "MB", [sum(layers.values()) / 1e6], (), KOLLA_SIZES),
        Figure("the one image of all services", "MB", [alone / 1e6], (), f"of {len(PATHS)} APIs and 4 agents"),
    ]


def _layers(platform: Platform, reference: str) -> dict[str, int]:
    """Return the bytes of an image's layers by what is in them."""
    image = platform.engine.images.get(reference)
    filled = [step["Size"] for step in reversed(image.history()) if step["Size"]]
    found = image.attrs["RootFS"]["Layers"]
    # A layer without bytes is in the list of layers, too, but not told apart from a step that made none.
    return dict(zip(found[-len(filled) :], filled, strict=False))


# --- deploying ---------------------------------------------------------------------------------


def deployed(platform: Platform, note: str) -> list[Figure]:
    """Seconds from the command on: the first token, an answer of every API, a hypervisor to schedule servers on."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(platform.json, "openstack", "deploy")
        cloud = _Cloud(platform)
        marks = {
            "token": _until(cloud.token, done) - began,
            "every API answers": _until(cloud.answers, done) - began,
            "a server can be scheduled": _until(cloud.hypervisor, done) - began,
        }
        told = done.result()
    with_cluster = f"{told['cluster_seconds']:.0f} s of it for the cluster; {note}"
    peers = {"token": KOLLA, "every API answers": OTHERS}
    figures = [
        Figure(
            f"deploy OpenStack → {what}", "s", [seconds], (), "; ".join(filter(None, [with_cluster, peers.get(what)]))
        )
        for what, seconds in marks.items()
    ]
    return [*figures, Figure("deploy OpenStack: the command", "s", [told["seconds"]], (), with_cluster)]


def keystone(platform: Platform) -> Figure:
    """Seconds until Keystone alone, on its database of three members, gives a token; images are on the node."""
    platform.run("openstack", "deploy", "--package", "identity")
    platform.run("openstack", "destroy", "--yes", "--keep-cluster")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(platform.json, "openstack", "deploy", "--package", "identity")
        spent = _until(_Cloud(platform).token, done) - began
        done.result()
    return Figure("deploy Keystone, MariaDB × 3, HAProxy → token", "s", [spent], (), "images are on the node")


def _until(look: Any, done: concurrent.futures.Future[Any]) -> float:
    """Return when `look` first found what it wants; a deployment that failed is raised."""

    def found() -> bool:
        if done.done():
            done.result()
        with contextlib.suppress(OSError, http.client.HTTPException, KeyError, ValueError):
            return bool(look())
        return False

    until(found, PATIENCE_SECONDS, 0.1)
    return time.monotonic()


class _Cloud:
    """What a user of the deployed cloud sees, by plain HTTP: a client's own start would be a part of the figure."""

    def __init__(self, platform: Platform) -> None:
        self._file = platform.state / "clouds.yaml"
        self._token = ""

    def token(self) -> bool:
        auth = self._auth()
        user = {"name": auth["username"], "password": auth["password"], "domain": {"id": "default"}}
        scope = {"project": {"name": auth["project_name"], "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{auth['auth_url']}/auth/tokens", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            self._token = answer.headers["X-Subject-Token"]
        return bool(self._token)

    def answers(self) -> bool:
        return all(_status(f"{self._base()}/{path}/") < 500 for path in PATHS)

    def hypervisor(self) -> bool:
        headers = {"X-Auth-Token": self._token}
        request = urllib.request.Request(f"{self._base()}/compute/v2.1/os-hypervisors", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(json.load(answer)["hypervisors"])

    def _auth(self) -> Mapping[str, str]:
        found: Mapping[str, str] = yaml.safe_load(self._file.read_text())["clouds"][APP]["auth"]
        return found

    def _base(self) -> str:
        return self._auth()["auth_url"].removesuffix("/identity/v3")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# --- running -----------------------------------------------------------------------------------


def held(platform: Platform) -> list[Figure]:
    """Memory of each service as the nodes' engines tell it, without what is only cached."""
    counted: collections.Counter[str] = collections.Counter()
    for each in until(lambda: _weighed(platform), 120, 1):
        counted[each["service"]] += each["memory"]
    note = f"{len(counted)} services"
    single = [Figure(f"OpenStack's memory: {name}", "MB", [size / 1e6]) for name, size in counted.most_common()]
    return [*single, Figure("OpenStack's memory: all", "MB", [sum(counted.values()) / 1e6], (), note)]


def _weighed(platform: Platform) -> list[Any]:
    """Return the replicas that run, once all of them have told what they hold: a busy node leaves it out."""
    found = [each for each in platform.json("ps", APP) if each["state"] == "running"]
    return found if all(each["memory"] for each in found) else []


def joining(platform: Platform) -> list[Figure]:
    """A second Keystone takes requests, and goes again, while requests come in."""
    url = yaml.safe_load((platform.state / "clouds.yaml").read_text())["clouds"][APP]["auth"]["auth_url"]
    base = url.removesuffix("/identity/v3")
    with Load(base, "/identity/v3?bench", RATE) as load:
        began = time.time()
        platform.run("scale", APP, "keystone=2")
        served = until(lambda: _first(_lines(platform, "keystone.2"), "bench"), 120, 0.5)
        ready = _first(_lines(platform, "keystone.2"), " 200 ") or served
        begun = time.monotonic()
        platform.run("scale", APP, "keystone=1")
        until(lambda: len(_replicas(platform)) == 1, 120)
        gone = time.monotonic() - begun
    note = f"{load.failed} of {load.total} requests failed; of it {served - ready:.1f} s after its first answer"
    return [
        Figure("scale keystone=2 → takes requests", "s", [served - began], (), f"{note}; {KOLLA_JOIN}"),
        Figure("scale keystone=1 → gone", "s", [gone], (), "drained first"),
    ]


def _replicas(platform: Platform) -> list[Any]:
    return [each for each in platform.json("ps", APP) if each["service"] == "keystone" and each["state"] == "running"]


def _lines(platform: Platform, replica: str) -> Iterator[Mapping[str, Any]]:
    said = platform.run("logs", APP, "--json", "--replica", replica)
    return (json.loads(line) for line in said.splitlines())


def _first(lines: Iterable[Mapping[str, Any]], word: str) -> float | None:
    """Return the time of the first line with a word in it."""
    found = next((line["at"] for line in lines if word in line["text"]), None)
    return datetime.datetime.fromisoformat(found).timestamp() if found else None
