# SPDX-License-Identifier: Apache-2.0
"""Asking a cluster's manager and all its nodes at the same time, and getting along with nodes that are down.

Used by `swarm.py`. A node that does not answer is an error until the swarm itself knows it to be down
(some 15 seconds); from then on it counts as having nothing, and is not waited for at each look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from stackyard.drivers.workloads import placement
from stackyard.drivers.workloads.api import NodeEngine, everywhere
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, NodeAccess

T = TypeVar("T")
U = TypeVar("U")


class Reach:
    """What was learnt of clusters' nodes: which manager answered last, which nodes are down and silent."""

    def __init__(self) -> None:
        self._answered: dict[str, str] = {}
        self._silent: dict[str, frozenset[str]] = {}

    def manager(self, access: ClusterAccess, call: Callable[[NodeEngine], T]) -> T:
        """Make a call on a manager that answers; it may be made twice. Raises Unavailable when none does."""
        failure = errors.Unavailable("the cluster has no manager")
        last = self._answered.get(access.cluster_id)
        for node in sorted(access.managers, key=lambda each: each.name != last):
            try:
                answer = call(NodeEngine(node))
            except errors.Unavailable as error:
                failure = error
            else:
                self._answered[access.cluster_id] = node.name
                return answer
        raise failure

    def survey(
        self, access: ClusterAccess, ask: Callable[[NodeEngine], T], call: Callable[[NodeEngine], U]
    ) -> tuple[T, list[U], dict[str, str]]:
        """Return the manager's answer, those of all nodes that are up, and the names of nodes that are down, by id.

        Raises the error of a node that should answer and does not.
        """
        skipped = self._silent.get(access.cluster_id, frozenset())
        with ThreadPoolExecutor(1, "manager") as pool:
            told = pool.submit(self.manager, access, lambda engine: (ask(engine), engine.get("/nodes")))
            answers = everywhere([node for node in access.nodes if node.name not in skipped], call)
            answer, members = told.result()
        down = placement.down(members)
        back = [node for node in access.nodes if node.name in skipped.difference(down.values())]
        answers |= everywhere(back, call)
        return answer, self._checked(access, answers, skipped, down), down

    def watched(self, access: ClusterAccess) -> list[NodeAccess]:
        """Return the nodes that are not known to be down."""
        skipped = self._silent.get(access.cluster_id, frozenset())
        return [node for node in access.nodes if node.name not in skipped]

    def _checked(
        self,
        access: ClusterAccess,
        answers: Mapping[str, U | errors.StackyardError],
        skipped: frozenset[str],
        down: Mapping[str, str],
    ) -> list[U]:
        failed = {name: each for name, each in answers.items() if isinstance(each, errors.StackyardError)}
        for name, error in failed.items():
            if name not in down.values():
                raise error
        self._silent[access.cluster_id] = frozenset(down.values()) & (skipped | frozenset(failed))
        return [each for each in answers.values() if not isinstance(each, errors.StackyardError)]


def nothing(_engine: NodeEngine) -> None:
    """Ask a manager for no more than its members."""


def flat(lists: Sequence[list[Any]]) -> list[Any]:
    """Return what all nodes listed as one list."""
    return [each for one in lists for each in one]
