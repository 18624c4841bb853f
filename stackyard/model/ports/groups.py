# SPDX-License-Identifier: Apache-2.0
"""Members of clustered groups: asked and told by commands in their containers, which obey the contract of groups."""

from __future__ import annotations

from typing import Protocol

from stackyard.model.groups import Grant, MemberSeen
from stackyard.model.ports.engines import ClusterAccess
from stackyard.model.ports.workloads import Replica


class Members(Protocol):
    """Speaks with members of clustered groups."""

    def look(self, access: ClusterAccess, replica: Replica) -> MemberSeen | None:
        """Return what a member says of itself; None where it can't say (yet)."""

    def grant(self, access: ClusterAccess, replica: Replica, grant: Grant) -> bool:
        """Give a member the bootstrap right; False where it refuses: it is another start, or has decided already."""
