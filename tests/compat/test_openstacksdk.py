# SPDX-License-Identifier: Apache-2.0
"""The unmodified openstacksdk, which sends no microversion at all."""

from __future__ import annotations

from typing import Any

import openstack
import pytest
from openstack import exceptions

from tests.api.world import MEMBER, OTHER
from tests.compat.conftest import Served


def sdk(served: Served, token: str = MEMBER) -> Any:
    address = f"{served.url}/container-infra/v1"
    cloud = openstack.connect(
        auth_type="admin_token",
        auth={"endpoint": address, "token": token},
        container_infrastructure_management_endpoint_override=address,
    )
    return cloud.container_infrastructure_management


def test_templates_and_clusters(served: Served) -> None:
    cloud = sdk(served)
    template = cloud.create_cluster_template(name="small", coe="swarm-mode", image_id="node")
    assert cloud.find_cluster_template("small").uuid == template.id
    made = cloud.create_cluster(name="one", cluster_template_id=template.id, node_count=1, labels={"x.a": "b"})
    served.world.ready(made.id)
    (listed,) = cloud.clusters()
    assert (listed.name, listed.status) == ("one", "CREATE_COMPLETE")
    cluster = cloud.get_cluster(made.id)
    assert (cluster.coe_version, cluster.labels, cluster.node_count) == ("20.10", {"x.a": "b"}, 1)
    assert cloud.get_cluster_certificate(cluster.id).pem.startswith("-----BEGIN CERTIFICATE-----")
    cloud.update_cluster(cluster, node_count=2)
    assert cloud.get_cluster(cluster.id).status == "UPDATE_IN_PROGRESS"
    assert cloud.get_cluster(cluster.id).node_count == 2
    with pytest.raises(exceptions.BadRequestException):  # the SDK does not read the reason
        cloud.delete_cluster_template(template)
    cloud.delete_cluster(cluster)
    assert cloud.get_cluster(cluster.id).status == "DELETE_IN_PROGRESS"


def test_another_projects_things_are_not_found(served: Served) -> None:
    cluster = served.world.cluster()
    with pytest.raises(exceptions.NotFoundException):
        sdk(served, OTHER).get_cluster(cluster.id)
    assert list(sdk(served, OTHER).clusters()) == []
