# SPDX-License-Identifier: Apache-2.0
"""What an application's users notice while a build on the same nodes takes all that it can get.

Beside each figure: the same application during the push of a build that fails without doing any harm, the least that
any push takes from it; how it was when left alone, and how the build ended (with its reason, or it does not count), is
in the note. `BOMBS` and `refusal` are the tests' too.
"""

from __future__ import annotations

import pathlib
import subprocess
import time

from tools.bench.figure import Figure
from tools.bench.platform import BIN, Platform
from tools.bench.push import RATE, guestbook
from tools.load import Load

QUIET_SECONDS = 15.0
SHARE = 0.99
FORKS = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        count += 1
except OSError as error:
    raise SystemExit(f"{count} processes, then: {error}")
"""
MEMORY = """
parts = []
for _ in range(20):
    parts.append(b"x" * (1 << 30))
"""
OUTPUT = """
import os
os.execvp("sh", ["sh", "-c", "yes > /proc/1/fd/1"])
"""
HARMLESS = "raise SystemExit('harmless')"
HARMLESS_PUSHES = 3
BOMBS = {
    "a fork bomb": (FORKS, "processes, then: [Errno 11] Resource temporarily unavailable"),
    "an allocation of 20 GB": (MEMORY, "ran out of the 2048 MiB of memory"),
    "output without end": (OUTPUT, "lines and was stopped; make it say less"),
}
"""What is installed, as the setup.py of an application, and what of the reason must be told."""


def measure(platform: Platform) -> list[Figure]:
    _, url = guestbook(platform)
    return [during(platform, url, name) for name in BOMBS]


def during(platform: Platform, url: str, name: str) -> Figure:
    """Return the figure of one bomb, installed on the nodes of the guest book."""
    with Load(url, "/entries", RATE) as alone:
        time.sleep(QUIET_SECONDS)
    with Load(url, "/entries", RATE) as beside:
        for number in range(HARMLESS_PUSHES):
            refusal(write(platform.folder / "bomb", f"{HARMLESS} # {number}"), platform.environment, "bench")
    began = time.monotonic()
    with Load(url, "/entries", RATE) as load:
        words = refusal(write(platform.folder / "bomb", BOMBS[name][0]), platform.environment, "bench")
    spent = time.monotonic() - began
    told = "with its reason" if BOMBS[name][1] in words else f"WITHOUT ITS REASON: {words[-200:]!r}"
    ours, floor, left = (1000 * each.percentile(SHARE) for each in (load, beside, alone))
    note = f"{left:.3g} ms left alone; {load.failed} of {load.total} requests failed at {RATE}/s; "
    note += f"the build ended after {spent:.0f} s, {told}"
    return Figure(f"p99 of another application during {name}", "ms", [ours], [floor], note)


def write(folder: pathlib.Path, program: str) -> pathlib.Path:
    """Write the application that installs a bomb."""
    folder.mkdir(exist_ok=True)
    (folder / "setup.py").write_text(program)
    (folder / "requirements.txt").write_text(".\n")
    (folder / "app.py").write_text("")
    return folder


def refusal(folder: pathlib.Path, environment: dict[str, str], cluster: str) -> str:
    """Push a bomb; return what is told, raises SystemExit if it is taken."""
    command = [BIN / "stackyard", "push", str(folder), "--app", "bomb", "--cluster", cluster]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 1:
        raise SystemExit(f"the push of a bomb ended with {done.returncode}:\n{done.stderr}")
    return done.stderr
