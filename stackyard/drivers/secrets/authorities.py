# SPDX-License-Identifier: Apache-2.0
"""A cluster's own CA and the platform's client certificate, sealed as one text in the cluster's row.

Called by the worker, which makes them, and by whoever needs to talk to a cluster's engines.
"""

from __future__ import annotations

import functools
import json

from stackyard.model import errors
from stackyard.model.clusters import Cluster
from stackyard.model.ports import Authority, Certificates, ClusterAccess, NodeAccess, Secrets, TLSPair

CLIENT_DAYS = 3650


class Authorities:
    """Makes, seals and opens the keys of clusters."""

    def __init__(self, secrets: Secrets, certificates: Certificates) -> None:
        self.secrets = secrets
        self.certificates = certificates
        self._open = functools.lru_cache(maxsize=256)(self._unseal)

    def make(self, name: str) -> str:
        """Make a CA and a client certificate; return them sealed."""
        authority = self.certificates.authority(name)
        client = self.certificates.client(authority, "stackyard", CLIENT_DAYS)
        keys = {"cert": authority.cert, "key": authority.key, "client_cert": client.cert, "client_key": client.key}
        return self.secrets.seal(json.dumps(keys))

    def authority(self, cluster: Cluster) -> Authority:
        """Return the cluster's CA; raises Conflict while it has none."""
        return self._keys(cluster)[0]

    def client(self, cluster: Cluster) -> TLSPair:
        """Return the platform's client certificate for the cluster's engines."""
        return self._keys(cluster)[1]

    def access(self, cluster: Cluster) -> ClusterAccess:
        """Return how to talk to the cluster as last observed, managers first."""
        tls = self.client(cluster)
        nodes = [NodeAccess(node.name, node.address, node.role, tls) for node in cluster.observed.nodes]
        return ClusterAccess(cluster.id, tuple(sorted(nodes, key=lambda node: (node.role != "master", node.name))))

    def _keys(self, cluster: Cluster) -> tuple[Authority, TLSPair]:
        if cluster.secrets is None:
            raise errors.Conflict(f"cluster {cluster.name} has no certificate authority yet; wait until it is created")
        return self._open(cluster.secrets)

    def _unseal(self, sealed: str) -> tuple[Authority, TLSPair]:
        keys = json.loads(self.secrets.open(sealed))
        client = TLSPair(keys["cert"], keys["client_cert"], keys["client_key"])
        return Authority(keys["cert"], keys["key"]), client
