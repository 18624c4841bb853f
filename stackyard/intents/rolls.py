# SPDX-License-Identifier: Apache-2.0
"""What replaces a cluster's nodes one batch after the other: upgrade to another template, rotation of its CA.

Called by the container-infra API. One roll at a time: while one is in progress another kind is a Conflict, the same
one again is fine, and after a failure both are a retry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.intents import sizes
from stackyard.intents.nodegroups import begin, image, meant
from stackyard.intents.rules import Rules, visible
from stackyard.model import errors
from stackyard.model.clusters import Cluster, ClusterTemplate, NodeGroup
from stackyard.model.phase import ENDING, Phase, Trigger
from stackyard.model.records import Caller
from stackyard.store import Store, Transaction


class Rolls:
    """Intents that lead to new machines for the same nodes."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def upgrade(self, caller: Caller, ident: str, template: str, batch_size: int, group: str | None = None) -> Cluster:
        """Ask for the image of another template, at most `batch_size` workers at a time.

        Without `group` (or with a default one) the default groups get it, and those that had the image before; a
        group with an image of its own only when it is named, and only that of the cluster's own template.
        Raises NotFound, or Conflict for a template of another engine and while another roll is in progress.
        """
        with self.store.transaction() as tx:
            cluster, wanted = visible(tx.clusters, caller, ident), visible(tx.templates, caller, template)
            _check_formed(cluster, failed_too=True)
            _check_no_other_upgrade(cluster, wanted)
            _check_no_rotation(cluster)
            _check_engine(cluster, wanted)
            fields = {"upgrade_to": wanted.id, "batch_size": batch_size}
            changed, groups = begin(tx, cluster, f"upgrade to template {wanted.name} asked for", **fields)
            for each in _concerned(tx, changed, wanted, groups, group):
                given = image(self.rules, wanted.image_id)
                tx.nodegroups.save(dataclasses.replace(each, **given, **sizes.moved(each, Trigger.CHANGE)))
            return changed

    def rotate(self, caller: Caller, ident: str, *, revoke: bool = False) -> Cluster:
        """Ask for a new CA, which all nodes get; the one before stays trusted unless it is to be revoked.

        Raises Conflict while the cluster is being created or another roll is in progress.
        """
        with self.store.transaction() as tx:
            cluster = visible(tx.clusters, caller, ident)
            _check_formed(cluster)
            _check_no_other_upgrade(cluster, None)
            _check_no_rotation(cluster)
            # After a failed rotation the CA asked for is not everywhere yet: asking again means that one.
            again = cluster.phase is Phase.UPDATE_FAILED and rotating(cluster)
            authority = cluster.authority + (0 if again else 1)
            trusted = authority if revoke else cluster.trusted_from if again else cluster.authority
            what = "new CA, with all certificates of the old one revoked" if revoke else "new CA"
            changed, _ = begin(tx, cluster, f"{what}, asked for", authority=authority, trusted_from=trusted)
            return changed


def rotating(cluster: Cluster) -> bool:
    """Tell whether some node does not serve yet with the authorities asked for."""
    return any(node.trust != cluster.trust for node in cluster.observed.nodes)


def _check_formed(cluster: Cluster, *, failed_too: bool = False) -> None:
    if cluster.phase is Phase.CREATING:
        raise errors.Conflict(f"cluster {cluster.name} is still being created; try again when it is there")
    if cluster.phase is Phase.CREATE_FAILED and not failed_too:
        raise errors.Conflict(f"cluster {cluster.name} was not created: resize it to try that again, or delete it")


def _check_no_other_upgrade(cluster: Cluster, wanted: ClusterTemplate | None) -> None:
    present = cluster.upgrade_to if cluster.phase is Phase.UPDATING else None
    if present not in (None, cluster.template_id, wanted.id if wanted else None):
        raise errors.Conflict(f"cluster {cluster.name} is being upgraded to template {present}; wait until that ends")


def _check_no_rotation(cluster: Cluster) -> None:
    if cluster.phase is Phase.UPDATING and rotating(cluster):
        raise errors.Conflict(f"the credentials of cluster {cluster.name} are being rotated; wait until that ends")


def _check_engine(cluster: Cluster, wanted: ClusterTemplate) -> None:
    if wanted.coe != cluster.coe:
        raise errors.Conflict(
            f"Cluster Template is not valid for upgrade: it is for {wanted.coe}, and the cluster runs {cluster.coe}"
        )


def _concerned(
    tx: Transaction, cluster: Cluster, wanted: ClusterTemplate, groups: Sequence[NodeGroup], ident: str | None
) -> list[NodeGroup]:
    """Return the groups that an upgrade is for."""
    named = meant(groups, ident)
    if named.is_default:
        before = {group.image_id for group in groups if group.is_default}
        living = [group for group in groups if group.phase not in ENDING]
        return [group for group in living if group.is_default or group.image_id in before]
    if wanted.id != cluster.template_id:
        own = tx.templates.get(cluster.template_id).name
        raise errors.Conflict(
            f"Cluster Template is not valid for upgrade: Nodegroup {named.name} can be upgraded only to match "
            f"cluster's template ({own})"
        )
    return [named]
