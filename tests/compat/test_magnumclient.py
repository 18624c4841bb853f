# SPDX-License-Identifier: Apache-2.0
"""The unmodified python-magnumclient: what it sends is understood, what it needs is there."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from keystoneauth1 import session, token_endpoint
from magnumclient import exceptions as http
from magnumclient.common import utils
from magnumclient.v1 import client

from tests.api.world import ADMIN, MEMBER, OTHER
from tests.compat.conftest import Served

TEMPLATE = {"name": "small", "coe": "swarm-mode", "image_id": "node", "external_network_id": "public"}


def magnum(served: Served, token: str = MEMBER, version: str = "latest") -> Any:
    address = f"{served.url}/container-infra/v1"
    auth = token_endpoint.Token(address, token)
    return client.Client(session=session.Session(auth=auth), magnum_url=address, api_version=version)


@pytest.fixture
def one(served: Served) -> Any:
    """A client, with a cluster `one` that is ready."""
    magnumclient = magnum(served)
    magnumclient.cluster_templates.create(**TEMPLATE)
    # All that `openstack coe cluster create` sends, its nulls as well.
    made = magnumclient.clusters.create(
        cluster_template_id="small",
        create_timeout=60,
        discovery_url=None,
        keypair=None,
        master_count=1,
        name="one",
        node_count=1,
    )
    served.world.ready(made.uuid)
    return magnumclient


def test_templates(served: Served) -> None:
    magnumclient = magnum(served)
    made = magnumclient.cluster_templates.create(**TEMPLATE, labels={"x.a": 1, "x.b": True}, docker_volume_size=5)
    assert (made.name, made.labels, made.tls_disabled) == ("small", {"x.a": "1", "x.b": "True"}, False)
    assert made.links
    assert [each.name for each in magnumclient.cluster_templates.list(detail=True)] == ["small"]
    changed = magnumclient.cluster_templates.update(
        "small", [{"op": "replace", "path": "/labels", "value": "{'x.c': 'd'}"}]
    )
    assert changed.labels == {"x.c": "d"}
    changed = magnumclient.cluster_templates.update("small", [{"op": "add", "path": "/labels/x.e", "value": "f"}])
    assert changed.labels == {"x.c": "d", "x.e": "f"}
    magnumclient.cluster_templates.delete("small")
    with pytest.raises(http.NotFound, match="small"):
        magnumclient.cluster_templates.get("small")


def test_only_admins_publish(served: Served) -> None:
    with pytest.raises(http.Forbidden, match="public"):
        magnum(served).cluster_templates.create(**TEMPLATE, public=True)
    magnum(served, ADMIN).cluster_templates.create(**TEMPLATE, public=True)
    assert magnum(served, OTHER).cluster_templates.get("small").public
    with pytest.raises(http.Forbidden):
        magnum(served, OTHER).cluster_templates.delete("small")


def test_a_cluster(one: Any) -> None:
    cluster = one.clusters.get("one")
    assert (cluster.status, cluster.node_count, cluster.master_count) == ("CREATE_COMPLETE", 1, 1)
    assert cluster.api_address == "tcp://10.9.0.2:2376"
    assert cluster.cluster_id == cluster.uuid
    assert cluster.created_at.endswith("+00:00")
    one.clusters.update("one", [{"op": "replace", "path": "/node_count", "value": 2}])
    assert one.clusters.get("one").status == "UPDATE_IN_PROGRESS"
    one.clusters.resize(cluster.uuid, 3)
    assert one.clusters.get("one").node_count == 3
    one.clusters.delete("one")
    assert one.clusters.get("one").status == "DELETE_IN_PROGRESS"


def test_an_old_client_sees_the_same(served: Served, one: Any) -> None:
    old = magnum(served, version="1.1")
    assert old.clusters.get("one").stack_id == one.clusters.get("one").uuid
    with pytest.raises(http.NotAcceptable):
        old.nodegroups.list("one")


def test_lists_go_on_until_there_is_no_more(served: Served, one: Any) -> None:
    for name in ("two", "three", "four"):
        one.clusters.create(cluster_template_id="small", name=name)
    names = ["one", "two", "three", "four"]
    assert [each.name for each in one.clusters.list()] == names
    assert [each.name for each in one.clusters.list(limit=3)] == names[:3]
    assert [each.name for each in one.clusters.list(sort_key="name", sort_dir="desc", limit=2)] == ["two", "three"]
    assert magnum(served, OTHER).clusters.list() == []


def test_node_groups(one: Any) -> None:
    made = one.nodegroups.create(
        "one", name="extra", node_count=2, min_node_count=1, max_node_count=None, role="worker"
    )
    assert (made.name, made.status, made.is_default) == ("extra", "CREATE_IN_PROGRESS", False)
    assert one.nodegroups.get("one", made.uuid).node_count == 2
    names = [each.name for each in one.nodegroups.list("one")]
    assert names == ["default-master", "default-worker", "extra"]
    assert [each.name for each in one.nodegroups.list("one", role="master")] == ["default-master"]
    one.nodegroups.update("one", "extra", [{"op": "replace", "path": "/max_node_count", "value": 4}])
    assert one.nodegroups.get("one", "extra").max_node_count == 4
    with pytest.raises(http.Conflict):
        one.nodegroups.update("one", "extra", [{"op": "replace", "path": "/max_node_count", "value": 1}])
    one.nodegroups.delete("one", "extra")
    assert one.nodegroups.get("one", "extra").status == "DELETE_IN_PROGRESS"
    with pytest.raises(http.BadRequest, match="default"):
        one.nodegroups.delete("one", "default-worker")


def test_cluster_config(one: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    cluster = one.clusters.get("one")
    template = one.cluster_templates.get(cluster.cluster_template_id)
    csr = utils.generate_csr_and_key()
    ca = one.certificates.get(cluster_uuid=cluster.uuid).pem
    signed = one.certificates.create(cluster_uuid=cluster.uuid, csr=csr["csr"]).pem
    usage = x509.load_pem_x509_certificate(signed.encode()).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usage.value
    said = utils.config_cluster(cluster, template, str(tmp_path), force=True, certs={})
    assert "DOCKER_HOST=tcp://10.9.0.2:2376" in said
    assert "DOCKER_TLS_VERIFY=True" in said
    context = ssl.create_default_context(cadata=ca)
    (tmp_path / "pair").write_text(csr["key"] + signed)
    context.load_cert_chain(tmp_path / "pair")


def test_refusals_are_told_in_words(served: Served, one: Any) -> None:
    with pytest.raises(http.NotFound, match="could not be found"):
        magnum(served, OTHER).clusters.get("one")
    with pytest.raises(http.BadRequest, match="certificate signing request"):
        one.certificates.create(cluster_uuid=one.clusters.get("one").uuid, csr="nonsense")
    with pytest.raises(http.BadRequest, match="keypair"):
        one.clusters.update("one", [{"op": "replace", "path": "/keypair", "value": "other"}])
    with pytest.raises(http.Unauthorized):
        magnum(served, "nonsense").clusters.list()
    with pytest.raises(http.InvalidAttribute):
        one.clusters.create(colour="red")


def test_stats(one: Any) -> None:
    found = one.stats.list(project_id="id-demo")
    assert (found.clusters, found.nodes) == (1, 2)
