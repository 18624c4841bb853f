# SPDX-License-Identifier: Apache-2.0
"""Who may do what: oslo.policy with the names and defaults that operators know from upstream.

Overrides are read from a policy file (`[oslo_policy] policy_file`) at start; nothing is read again per request. What
is wrong in the file is an error at start, since oslo.policy itself would take it for a refusal or ignore it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from stackyard.model import errors
from stackyard.model.records import Caller

ADMIN = "rule:context_is_admin"
MEMBER = "rule:admin_or_project_member"
READER = "rule:admin_or_project_reader"
OWN_MEMBER = "rule:project_member"

Rule = tuple[str, str]
"""A rule's name and its check, in oslo.policy's language."""

BASE: tuple[Rule, ...] = (
    ("context_is_admin", "role:admin"),
    ("admin_or_owner", "is_admin:True or project_id:%(project_id)s"),
    ("admin_or_user", "is_admin:True or user_id:%(user_id)s"),
    ("is_user", "user_id:%(user_id)s"),
    ("project_member", "role:member and project_id:%(project_id)s"),
    # Keystone lets `member` imply `reader`, where it was bootstrapped since 2018; elsewhere we do.
    ("project_reader", "(role:reader or role:member) and project_id:%(project_id)s"),
    ("admin_or_project_member", "(rule:context_is_admin) or (rule:project_member)"),
    ("admin_or_project_reader", "(rule:context_is_admin) or (rule:project_reader)"),
)
"""What the rules of all families are made of; a policy file that changes one changes them all."""


class Policy:
    """The rules of all families. `everywhere` names what admins need besides a rule, as they see all projects."""

    def __init__(self, conf: cfg.ConfigOpts, rules: Sequence[Rule], everywhere: Mapping[str, str]) -> None:
        """Raises BadInput that names the policy file and what is wrong with it."""
        self._everywhere = everywhere
        path = policy_file(conf)
        # An empty file where there is none: else the enforcer would look for one in the home folder and in /etc.
        self._enforcer = policy.Enforcer(conf, policy_file=str(path or os.devnull))
        conf.set_default("policy_dirs", [], "oslo_policy")
        self._enforcer.register_defaults([policy.RuleDefault(name, check) for name, check in (*BASE, *rules)])
        overrides = _read(path) if path else {}
        self._own_admins = "context_is_admin" in overrides
        self._enforcer.load_rules()
        self._enforcer.use_conf = False  # else each request looks for changed files
        for mistake in self._mistakes(overrides):
            raise errors.BadInput(f"the policy file {path} can't be used: {mistake}")

    def check(self, caller: Caller, rule: str, target: Any = None) -> None:
        """Raise Forbidden unless the caller may do this to the target (None: to its own project)."""
        for name in (self._everywhere.get(rule) if caller.is_admin else None, rule):
            if name and not self.allows(caller, name, target):
                raise errors.Forbidden(f"Policy doesn't allow {name} to be performed.")

    def allows(self, caller: Caller, rule: str, target: Any = None) -> bool:
        """Tell whether the caller fulfils a rule."""
        owner = {
            "project_id": getattr(target, "project_id", caller.project_id),
            "user_id": getattr(target, "user_id", caller.user_id),
            "public": str(getattr(target, "public", False)),
        }
        credentials = {
            "user_id": caller.user_id,
            "project_id": caller.project_id,
            "roles": sorted(caller.roles),
            "is_admin": caller.is_admin,
        }
        return bool(self._enforcer.enforce(rule, owner, credentials))

    def known(self, caller: Caller) -> Caller:
        """Return the caller with the role `admin` exactly if it is what the rules call an admin."""
        if not self._own_admins:
            return caller
        is_admin = self.allows(caller, "context_is_admin")
        return dataclasses.replace(caller, roles=caller.roles - {"admin"} | ({"admin"} if is_admin else set()))

    def _mistakes(self, overrides: Mapping[str, Any]) -> Iterator[str]:
        known = self._enforcer.registered_rules
        nouns = {name.partition(":")[0] for name in known if ":" in name}
        for name, check in overrides.items():
            if name not in known and ":" in name and name.partition(":")[0] in nouns:
                yield f"there is no rule {name}"
            # A check that can't be read becomes one that refuses everybody.
            if str(self._enforcer.rules.get(name)) == "!" and str(check).strip() != "!":
                yield f"the check of {name} can't be understood: {check}"
        try:
            self._enforcer.check_rules(raise_on_violation=True)
        except policy.InvalidDefinitionError as error:
            names = str(error).partition(" are not")[0]
            yield f"{names} refer to rules that are not there, or to themselves"


def policy_file(conf: cfg.ConfigOpts) -> pathlib.Path | None:
    """Return the policy file, or None where there is none; raises BadInput when one was named that is not there."""
    path = pathlib.Path(conf.state_dir, conf.oslo_policy.policy_file)
    if path.is_file():
        return path
    place = conf.get_location("policy_file", "oslo_policy")
    if place is not None and place.location.is_user_controlled:
        raise errors.BadInput(f"the policy file {path} is not there; option policy_file in [oslo_policy] names it")
    return None


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        overrides: Any = policy.parse_file_contents(path.read_text())
    except (OSError, ValueError) as error:
        raise errors.BadInput(f"the policy file {path} can't be used: {' '.join(str(error).split())}") from None
    if not isinstance(overrides, dict) or not all(isinstance(check, str) for check in overrides.values()):
        form = '"cluster:get": "role:reader"'
        raise errors.BadInput(f"the policy file {path} can't be used: its lines must look like {form}")
    return overrides
