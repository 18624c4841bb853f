# SPDX-License-Identifier: Apache-2.0
"""Twenty clusters asked for at once and deleted at once: all come, all go, nothing stays."""

from __future__ import annotations

import concurrent.futures
import time

import psutil
import pytest

from tests.platform.clusters import Api, Host, until

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

COUNT = 20


def test_twenty_at_once(api: Api, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    before = host.belongings()
    free = psutil.virtual_memory().available
    api.template("sytest")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
        clusters = list(pool.map(lambda number: api.create(f"many-{number}", nodes=0), range(COUNT)))
        until(lambda: all(pool.map(api.settled, clusters)), 300)
        made = time.monotonic()
        used = free - psutil.virtual_memory().available
        for cluster in clusters:
            host.check_whole(cluster, managers=1, workers=0)
        checked = time.monotonic()
        api.remove(*clusters, seconds=300)
    gone = time.monotonic()
    with capsys.disabled():
        print(
            f"\n{COUNT} clusters of one node: made in {made - began:.1f} s, gone in {gone - checked:.1f} s,"
            f" {used >> 20} MiB ({(used >> 20) // COUNT} each)"
        )
    assert host.belongings() == before
