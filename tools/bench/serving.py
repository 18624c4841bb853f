# SPDX-License-Identifier: Apache-2.0
"""What an application's users notice of its changes, and what the platform adds to a running application.

The floors are plain Docker by the same hook as in `push`; where a figure has none, its aim is in the note.
"""

from __future__ import annotations

import functools
import pathlib
import time

from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session
from tools.bench.figure import Figure
from tools.bench.memory import megabytes
from tools.bench.platform import Platform, until
from tools.bench.push import RATE, Floor, answer, guestbook, push, timed
from tools.load import Load

APP = "guestbook"
REQUESTS = 10_000
ROUNDS = 3
SMALL_APPS = 8
PAGE = "<!doctype html><title>small</title>"


def measure(platform: Platform) -> list[Figure]:
    source, url = guestbook(platform)
    return [
        *unchanged(platform, source),
        *rollbacks(platform, source, url),
        *under_load(platform, source, url),
        *joining(platform, url),
        *dependency(platform, source, url),
        *overhead(platform),
    ]


def unchanged(platform: Platform, source: pathlib.Path) -> list[Figure]:
    return [Figure("push without a change", "s", [seconds(platform, "push", str(source), "--app", APP) for _ in "123"])]


def rollbacks(platform: Platform, source: pathlib.Path, url: str) -> list[Figure]:
    """Between two releases whose images are on the nodes; the command itself has to start, too."""
    numbers = {}
    for name in ("one", "two"):
        push(platform, source, url, name)
        until(lambda: settled(platform))
        numbers[name] = str(platform.json("releases", APP)[0]["number"])
    spent = []
    for _ in range(ROUNDS):
        for name, number in numbers.items():
            spent.append(timed(functools.partial(platform.run, "rollback", APP, number), url, name))
            until(lambda: settled(platform))
    note = "aim: 1 s; floor: docker rm -f, docker run of one replica without a check, which has a gap"
    return [Figure("rollback → served", "s", spent, replaced(platform), note)]


def replaced(platform: Platform) -> list[float]:
    """By hand: one container for another, of images that are there."""
    floor = Floor(platform)
    images = {}
    try:
        floor.prepare()
        for name in ("one", "two"):
            floor.push(name)
            images[name] = platform.engine.images.get("sybench-floor-app").id or ""
        return [floor.back(image, name) for _ in range(ROUNDS) for name, image in images.items()]
    finally:
        floor.remove()


def under_load(platform: Platform, source: pathlib.Path, url: str) -> list[Figure]:
    """Push, roll back, scale up and down, and kill a replica, until enough requests were sent."""
    number = 0
    with Load(url, "/entries", RATE) as load:
        while load.total < REQUESTS:
            number += 1
            push(platform, source, url, f"under load {number}")
            platform.run("rollback", APP)
            platform.run("scale", APP, "web=4")
            platform.run("scale", APP, "web=2")
            kill_a_replica(platform)
            until(lambda: settled(platform))
    name = f"requests failed of {load.total} at {RATE}/s"
    told = f"during {number} × push, rollback, scale up, scale down, kill of a replica; slowest {load.slowest:.2f} s"
    return [Figure(name, "", [load.failed], [], "; ".join([told, *sorted(set(load.problems))[:3]]))]


def kill_a_replica(platform: Platform) -> None:
    for node in platform.nodes():
        found = node.exec_run(["docker", "ps", "-q", "--filter", "name=-web-"]).output.decode().split()
        if found:
            node.exec_run(["docker", "kill", found[0]])
            return
    raise LookupError("no replica runs on any node")


def joining(platform: Platform, url: str) -> list[Figure]:
    """From a new replica's first good answer to ourselves until the router gives us one of its answers."""
    session = Session(SERVICE)
    spent = []
    for _ in range(ROUNDS):
        until(lambda: settled(platform))
        known = endpoints(session)
        platform.run("scale", APP, "web=3", "--no-wait")
        new = until(lambda: endpoints(session) - known).pop()  # noqa: B023
        until(lambda: answer(f"http://{new}"), pause=0.005)  # noqa: B023
        ready = time.monotonic()
        name = answer(f"http://{new}")["replica"]
        until(lambda: answer(url).get("replica") == name, pause=0.005)  # noqa: B023
        spent.append(time.monotonic() - ready)
        platform.run("scale", APP, "web=2")
    return [Figure("replica ready → in rotation", "s", spent, [], "aim: 0.3 s; ready: its own first good answer")]


def endpoints(session: Session) -> set[str]:
    found = session.get(f"/apps/{APP}/processes")
    return {each["endpoint"] for each in found if each["service"] == "web" and each["endpoint"]}


def dependency(platform: Platform, source: pathlib.Path, url: str) -> list[Figure]:
    """A changed file of requirements: both sides install them all again."""
    ours, floors = [], []
    floor = Floor(platform)
    try:
        floor.prepare()
        for number in range(ROUNDS):
            for folder in (source, floor.source):
                with (folder / "requirements.txt").open("a") as file:
                    file.write(f"# change {number}\n")
            ours.append(push(platform, source, url, f"dependency-{number}"))
            began = time.monotonic()
            floor.renew()
            floors.append(time.monotonic() - began + floor.push(f"dependency-{number}"))
    finally:
        floor.remove()
    note = "aim: 1.1; floor: pip install in a container, docker commit, build, run"
    return [Figure("push of a changed requirement → served", "s", ours, floors, note)]


def overhead(platform: Platform) -> list[Figure]:
    """What the platform's own processes and its router hold more for each application that runs."""
    folder = platform.folder / "small"
    folder.mkdir()
    before = held(platform)
    for number in range(SMALL_APPS):
        (folder / "index.html").write_text(f"{PAGE}{number}")
        platform.run("push", str(folder), "--app", f"small-{number}")
    time.sleep(5)
    each = (held(platform) - before) / SMALL_APPS
    return [Figure("platform's memory per running application", "MB", [each], [], f"over {SMALL_APPS} static sites")]


def held(platform: Platform) -> float:
    return megabytes(platform.heads())


def settled(platform: Platform) -> bool:
    return bool(next(app for app in platform.json("apps") if app["name"] == APP)["status"] == "DEPLOYMENT_COMPLETE")


def seconds(platform: Platform, *arguments: str) -> float:
    began = time.monotonic()
    platform.run(*arguments)
    return time.monotonic() - began
