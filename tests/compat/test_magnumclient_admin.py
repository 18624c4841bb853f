# SPDX-License-Identifier: Apache-2.0
"""The unmodified python-magnumclient in the hands of an administrator: quotas, services, figures."""

from __future__ import annotations

import pytest
from magnumclient import exceptions as http

from stackyard.worker.heartbeat import Heartbeat
from tests.api.world import ADMIN
from tests.compat.conftest import Served
from tests.compat.test_magnumclient import magnum

PROJECTS = ["id-demo", "id-other", "id-third"]


def test_quotas(served: Served) -> None:
    admin, member = magnum(served, ADMIN), magnum(served)
    for number, project in enumerate(PROJECTS, start=1):
        made = admin.quotas.create(project_id=project, resource="Cluster", hard_limit=number)
        assert (made.project_id, made.hard_limit) == (project, number)
    assert member.quotas.get("id-demo", "Cluster").hard_limit == 1
    # What `openstack coe quotas update` sends.
    body = {"project_id": "id-demo", "resource": "Cluster", "hard_limit": 2}
    assert admin.quotas.update("id-demo", "Cluster", body).hard_limit == 2
    assert [each.project_id for each in admin.quotas.list(all_tenants=True)] == PROJECTS
    assert [each.project_id for each in admin.quotas.list(all_tenants=True, limit=2)] == PROJECTS[:2]
    following = admin.quotas.list(all_tenants=True, limit=2, marker=2, sort_key="id", sort_dir="asc")
    assert [each.project_id for each in following] == PROJECTS[2:]
    assert admin.quotas.list() == []
    admin.quotas.delete("id-demo", "Cluster")
    assert member.quotas.get("id-demo", "Cluster").hard_limit == 20
    with pytest.raises(http.Forbidden):
        member.quotas.create(project_id="id-demo", resource="Cluster", hard_limit=100)


def test_a_quota_that_is_used_up(served: Served) -> None:
    magnum(served, ADMIN).quotas.create(project_id="id-demo", resource="Cluster", hard_limit=1)
    served.world.cluster("one")
    with pytest.raises(http.Forbidden, match="You have reached the maximum clusters per project, 1"):
        magnum(served).clusters.create(name="two", cluster_template_id="t-one")


def test_services(served: Served) -> None:
    Heartbeat(served.world.store, host="here").beat()
    (service,) = magnum(served, ADMIN).mservices.list()
    assert (service.id, service.host, service.binary, service.state) == (1, "here", "magnum-conductor", "up")
    with pytest.raises(http.Forbidden):
        magnum(served).mservices.list()


def test_figures(served: Served) -> None:
    served.world.cluster("one", node_count=3)
    found = magnum(served).stats.list(project_id="id-demo")
    assert (found.clusters, found.nodes) == (1, 4)
