# SPDX-License-Identifier: Apache-2.0
"""One swarm for all tests of workloads on real engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import workloads_rig as rig

from stackyard.model.ports import ClusterAccess


@pytest.fixture(scope="session")
def swarm() -> Iterator[tuple[ClusterAccess, str]]:
    with rig.swarm(rig.node_count()) as formed:
        yield formed
