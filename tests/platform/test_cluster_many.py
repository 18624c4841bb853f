# SPDX-License-Identifier: Apache-2.0
"""Twenty clusters asked for at once and deleted at once: all come, all go, nothing stays."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.platform.clusters import Api, Host, until

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

COUNT = 20


@pytest.fixture
def made(api: Api) -> Iterator[list[str]]:
    """Clusters that go in the end, however the test ends."""
    clusters: list[str] = []
    yield clusters
    api.remove(*clusters, seconds=300)


def test_twenty_at_once(api: Api, host: Host, made: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = host.belongings()
    free = psutil.virtual_memory().available
    api.template("sytest")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
        list(pool.map(lambda number: made.append(api.create(f"many-{number}", nodes=0)), range(COUNT)))
        until(lambda: all(pool.map(api.settled, made)), 300)
        there = time.monotonic()
        used = free - psutil.virtual_memory().available
        for cluster in made:
            host.check_whole(cluster, managers=1, workers=0)
        checked = time.monotonic()
        api.remove(*made, seconds=300)
    gone = time.monotonic()
    with capsys.disabled():
        print(
            f"\n{COUNT} clusters of one node: made in {there - began:.1f} s, gone in {gone - checked:.1f} s,"
            f" {used >> 20} MiB ({(used >> 20) // COUNT} each)"
        )
    assert host.belongings() == before
