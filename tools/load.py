# SPDX-License-Identifier: Apache-2.0
"""A steady load of GET requests on an application while something else happens, with every failure counted.

Used by the demo and by the tests of a whole push; knows nothing of the platform.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping

THREADS = 10
ANSWER_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Sample:
    """One request: when it began (seconds from the start), how long it took, which version answered."""

    at: float
    seconds: float
    version: str
    problem: str = ""


class Load:
    """`with Load(url, path, rate) as load:` sends `rate` requests a second for the time of the block.

    Connections are kept and used again, as browsers do; an answer of 400 or more, or none, is a failure.
    """

    def __init__(self, url: str, path: str, rate: float, headers: Mapping[str, str] | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port, self._path = parts.netloc, parts.port or 80, path
        self._headers = {"Host": self._host, **(headers or {})}
        self._pause = THREADS / rate
        self._over = threading.Event()
        self._began = time.monotonic()
        self._samples: list[Sample] = []
        self._threads = [threading.Thread(target=self._send_all, args=(n,), daemon=True) for n in range(THREADS)]

    def __enter__(self) -> Load:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=ANSWER_SECONDS + 1)

    def until(self, condition: Callable[[Sample], bool], seconds: float) -> bool:
        """Go on until the newest answers satisfy `condition`, at most `seconds`; tell whether they did."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            newest = self._samples[-THREADS:]
            if newest and all(condition(sample) for sample in newest):
                return True
            time.sleep(0.05)
        return False

    @property
    def total(self) -> int:
        """How many requests were sent and ended."""
        return len(self._samples)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return len(self.problems)

    @property
    def problems(self) -> list[str]:
        """What went wrong with each failed request."""
        return [sample.problem for sample in list(self._samples) if sample.problem]

    @property
    def slowest(self) -> float:
        """Seconds of the slowest request."""
        return max((sample.seconds for sample in list(self._samples)), default=0.0)

    def percentile(self, share: float) -> float:
        """Return the seconds within which this share of the requests ended, 0 without any."""
        times = sorted(sample.seconds for sample in list(self._samples))
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    def first(self, version: str) -> float | None:
        """Return when `version` answered first, in seconds from the start."""
        return min((sample.at + sample.seconds for sample in self._samples if sample.version == version), default=None)

    def _send_all(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        due = self._began + self._pause * number / THREADS
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self._samples.append(self._send(connection))
            due = max(due + self._pause, time.monotonic() - self._pause)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> Sample:
        began = time.monotonic()
        version = problem = ""
        try:
            connection.request("GET", self._path, headers=self._headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status >= 400:
                problem = f"{answer.status} {data[:120].decode(errors='replace').strip()}"
            else:
                version = str(json.loads(data).get("version", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            problem = f"{type(error).__name__}: {error}"
        return Sample(began - self._began, time.monotonic() - began, version, problem)
