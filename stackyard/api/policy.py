# SPDX-License-Identifier: Apache-2.0
"""Who may do what: oslo.policy with the names and defaults that operators know from upstream.

Overrides are read from a policy file at start; nothing is read again per request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from stackyard.model import errors
from stackyard.model.records import Caller

ADMIN = "role:admin"
MEMBER = f"({ADMIN}) or (role:member and project_id:%(project_id)s)"
READER = f"({ADMIN}) or ((role:reader or role:member) and project_id:%(project_id)s)"
OWN_MEMBER = "role:member and project_id:%(project_id)s"

Rule = tuple[str, str]
"""A rule's name and its check, in oslo.policy's language."""


class Policy:
    """The rules of all families."""

    def __init__(self, conf: cfg.ConfigOpts, rules: Sequence[Rule]) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults([policy.RuleDefault(name, check) for name, check in rules])
        self._enforcer.load_rules()
        self._enforcer.use_conf = False  # else each request looks for changed files

    def check(self, caller: Caller, rule: str, target: Any = None) -> None:
        """Raise Forbidden unless the caller may do this to the target (None: to its own project)."""
        owner = {
            "project_id": getattr(target, "project_id", caller.project_id),
            "user_id": getattr(target, "user_id", caller.user_id),
            "public": str(getattr(target, "public", False)),
        }
        credentials = {"user_id": caller.user_id, "project_id": caller.project_id, "roles": sorted(caller.roles)}
        if not self._enforcer.enforce(rule, owner, credentials):
            raise errors.Forbidden(f"Policy doesn't allow {rule} to be performed.")
