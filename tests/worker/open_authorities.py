# SPDX-License-Identifier: Apache-2.0
"""Nodes as the cluster's row tells them, reached without certificates. Used by tests whose engines are fakes."""

from __future__ import annotations

import pathlib

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model.clusters import Cluster
from stackyard.model.ports import ClusterAccess, NodeAccess, TLSPair


class OpenAuthorities(Authorities):
    """Gives access to every cluster, with a key of its own in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        ensure_key(folder / "key")
        super().__init__(FernetSecrets(folder / "key"), X509())

    def reach(self, cluster: Cluster | None) -> ClusterAccess | None:
        """Return how to talk to its nodes; None where it is gone."""
        if cluster is None:
            return None
        pair = TLSPair("", "", "")
        nodes = [NodeAccess(node.name, node.address, node.role, pair) for node in cluster.observed.nodes]
        return ClusterAccess(cluster.id, tuple(nodes))
