# SPDX-License-Identifier: Apache-2.0
"""A cluster's own CAs, by number, and the platform's client certificates, sealed as one text in the cluster's row.

Called by the worker, which makes them, and by whoever needs to talk to a cluster's engines or to sign for its users.
Rotation makes the next CA; a node of trust "m..n" accepts clients of the CAs m to n and serves with a certificate of
CA n, followed by that CA as certified by the one before, so that who trusts only the previous CA verifies it too.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence

from stackyard.model import errors
from stackyard.model.clusters import Cluster
from stackyard.model.ports import Authority, Certificates, ClusterAccess, NodeAccess, Secrets, TLSPair

CLIENT_DAYS = 3650
CLIENT = "stackyard"


@dataclasses.dataclass(frozen=True)
class _Kept:
    """One CA with the platform's client certificate; `cross` is the CA's own, signed by the one before it."""

    cert: str
    key: str = dataclasses.field(repr=False)
    client_cert: str = ""
    client_key: str = dataclasses.field(default="", repr=False)
    cross: str = ""

    @property
    def authority(self) -> Authority:
        return Authority(self.cert, self.key)


Kept = Mapping[int, _Kept]


class Authorities:
    """Makes, seals and opens the keys of clusters."""

    def __init__(self, secrets: Secrets, certificates: Certificates) -> None:
        self.secrets = secrets
        self.certificates = certificates
        self._open = functools.lru_cache(maxsize=256)(self._unseal)

    def make_next(self, cluster: Cluster) -> str:
        """Make the cluster's next CA (its first is number 1); return all of its CAs sealed."""
        kept = self._kept(cluster) if cluster.secrets else {}
        number = max(kept, default=0) + 1
        authority = self.certificates.authority(f"cluster {cluster.id} CA {number}")
        client = self.certificates.client(authority, CLIENT, CLIENT_DAYS)
        previous = kept.get(number - 1)
        cross = self.certificates.cross(previous.authority, authority) if previous else ""
        return self._seal({**kept, number: _Kept(authority.cert, authority.key, client.cert, client.key, cross)})

    def prune(self, cluster: Cluster) -> str:
        """Return the CAs sealed without those before `cluster.trusted_from`; the same text when there is none."""
        kept = self._kept(cluster)
        still = {number: one for number, one in kept.items() if number >= cluster.trusted_from}
        # The newest stays whatever is asked for: without it no node could be reached.
        return str(cluster.secrets) if len(still) == len(kept) or not still else self._seal(still)

    def newest(self, cluster: Cluster) -> int:
        """Return the number of the newest CA made, 0 while there is none."""
        return max(self._kept(cluster)) if cluster.secrets else 0

    def active(self, cluster: Cluster) -> int:
        """Return the number of the newest CA whose clients all nodes accept; raises Conflict while there is none."""
        spans = [span(node.trust) for node in cluster.observed.nodes]
        if not spans:
            return max(self._kept(cluster))
        number = min(last for _, last in spans)
        if number < max(first for first, _ in spans):
            raise errors.Conflict("credentials are being rotated; try again in a moment")
        return number

    def authority(self, cluster: Cluster, number: int | None = None) -> Authority:
        """Return one CA, by default the active one; raises Conflict while the cluster has none."""
        return self._one(cluster, self.active(cluster) if number is None else number).authority

    def certificate(self, cluster: Cluster) -> str:
        """Return the active CA's certificate (PEM), by which the cluster's users verify its engines."""
        return self.authority(cluster).cert

    def issue(self, cluster: Cluster, name: str, address: str, trust: str) -> TLSPair:
        """Issue what a node of this trust serves with; its `ca` is all CAs whose clients the node accepts."""
        first, last = span(trust)
        signer = self._one(cluster, last)
        pair = self.certificates.server(signer.authority, name, address)
        return TLSPair(self._bundle(cluster, first, last), pair.cert + signer.cross, pair.key)

    def client_for(self, cluster: Cluster, trust: str) -> TLSPair:
        """Return the platform's client certificate for a node of this trust."""
        first, last = span(trust)
        one = self._one(cluster, last)
        return TLSPair(self._bundle(cluster, first, last), one.client_cert, one.client_key)

    def access(self, cluster: Cluster) -> ClusterAccess:
        """Return how to talk to the cluster as last observed, managers first."""
        nodes = [
            NodeAccess(node.name, node.address, node.role, self.client_for(cluster, node.trust))
            for node in cluster.observed.nodes
        ]
        return ClusterAccess(cluster.id, tuple(sorted(nodes, key=lambda node: (node.role != "master", node.name))))

    def reach(self, cluster: Cluster | None) -> ClusterAccess | None:
        """Return how to talk to the cluster; None where it is gone, or has no node yet."""
        there = cluster is not None and cluster.secrets is not None and cluster.observed.nodes
        return self.access(cluster) if cluster is not None and there else None

    def must_reach(self, cluster: Cluster | None) -> ClusterAccess:
        """Return how to talk to an application's cluster; raises Unavailable where it can't be talked to."""
        access = self.reach(cluster)
        if access is None:
            raise errors.Unavailable("the application's cluster is not ready")
        return access

    def _bundle(self, cluster: Cluster, first: int, last: int) -> str:
        kept = self._kept(cluster)
        return "".join(kept[number].cert for number in sorted(kept) if first <= number <= last)

    def _one(self, cluster: Cluster, number: int) -> _Kept:
        kept = self._kept(cluster)
        if number not in kept:
            have = _words(sorted(kept))
            raise errors.Conflict(f"cluster {cluster.name} has no certificate authority number {number}; it has {have}")
        return kept[number]

    def _kept(self, cluster: Cluster) -> Kept:
        if cluster.secrets is None:
            raise errors.Conflict(f"cluster {cluster.name} has no certificate authority yet; wait until it is created")
        return self._open(cluster.secrets)

    def _seal(self, kept: Kept) -> str:
        return self.secrets.seal(json.dumps({str(number): dataclasses.asdict(one) for number, one in kept.items()}))

    def _unseal(self, sealed: str) -> Kept:
        found = json.loads(self.secrets.open(sealed))
        # A cluster of the time before rotation has one CA, with its fields at the top.
        numbered = {"1": found} if "cert" in found else found
        return {int(number): _Kept(**fields) for number, fields in numbered.items()}


def span(trust: str) -> tuple[int, int]:
    """Return the first and last CA number of a trust such as "1..2"."""
    first, _, last = trust.partition("..")
    return int(first), int(last)


def _words(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
