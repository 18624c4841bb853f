# SPDX-License-Identifier: Apache-2.0
"""Cluster templates: what clusters of one kind have in common. Called by the container-infra API."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

from stackyard.intents.rules import page_of, visible
from stackyard.model import errors
from stackyard.model.clusters import ClusterTemplate
from stackyard.model.records import Caller, utcnow
from stackyard.store import Page, Store, Transaction

OWN = frozenset({"name", "coe", "image_id", "labels", "public", "hidden"})
ALWAYS_CHANGEABLE = frozenset({"name", "public", "hidden"})
NETWORK_DRIVERS: Mapping[str, tuple[str, ...]] = {
    "kubernetes": ("flannel", "calico", "cilium"),
    "swarm": ("docker", "flannel"),
    "swarm-mode": ("docker",),
    "docker": ("docker",),
    "mesos": ("docker",),
}
VOLUME_DRIVERS: Mapping[str, tuple[str, ...]] = {"kubernetes": ("cinder",), "mesos": ("rexray",)}
DEFAULTS: Mapping[str, object] = {
    "registry_enabled": False,
    "tls_disabled": False,
    "server_type": "vm",
    "master_lb_enabled": False,
    "floating_ip_enabled": True,
}
_EMPTY: Mapping[str, Any] = {"labels": {}, "public": False, "hidden": False}
_LETTERS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "sigma")


def generated_name(noun: str) -> str:
    """Return a name for an object that was given none, like `zeta-22-cluster`."""
    return f"{random.choice(_LETTERS)}-{random.randint(1, 99)}-{noun}"  # noqa: S311


class Templates:
    """Intents on cluster templates."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, caller: Caller, page: Page) -> list[ClusterTemplate]:
        """Return own and public templates; admins see all."""
        with self.store.reading() as tx:
            return page_of(tx.templates, caller, page)

    def find(self, caller: Caller, ident: str) -> ClusterTemplate:
        """Return one by id or name; raises NotFound."""
        with self.store.reading() as tx:
            return visible(tx.templates, caller, ident)

    def create(self, caller: Caller, values: Mapping[str, Any]) -> ClusterTemplate:
        """Write a template; raises BadInput for drivers that its engine does not know."""
        template = ClusterTemplate(
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=values.get("name") or generated_name("template"),
            coe=values["coe"],
            image_id=values["image_id"],
            labels=values.get("labels") or {},
            public=values.get("public") or False,
            hidden=values.get("hidden") or False,
            attributes=_attributes(values),
        )
        _check_drivers(template)
        with self.store.transaction() as tx:
            return tx.templates.insert(template)

    def update(self, caller: Caller, ident: str, values: Mapping[str, Any]) -> ClusterTemplate:
        """Overwrite the given fields (None: unset); raises BadInput when clusters are made of the template."""
        with self.store.transaction() as tx:
            template = visible(tx.templates, caller, ident)
            if set(values) - ALWAYS_CHANGEABLE:
                _check_unused(tx, template)
            changed = _changed(template, values)
            _check_drivers(changed)
            tx.templates.save(changed)
            return changed

    def delete(self, caller: Caller, ident: str) -> None:
        """Remove a template; raises BadInput while clusters are made of it."""
        with self.store.transaction() as tx:
            template = visible(tx.templates, caller, ident)
            _check_unused(tx, template)
            tx.templates.delete(template.id)


def _attributes(values: Mapping[str, Any]) -> dict[str, object]:
    given = {name: value for name, value in values.items() if name not in OWN and value is not None}
    return {**DEFAULTS, **given}


def _changed(template: ClusterTemplate, values: Mapping[str, Any]) -> ClusterTemplate:
    own: dict[str, Any] = {
        name: _EMPTY.get(name) if value is None else value for name, value in values.items() if name in OWN
    }
    kept = {name: value for name, value in template.attributes.items() if name not in values}
    return dataclasses.replace(template, **own, attributes={**_attributes(values), **kept}, updated_at=utcnow())


def _check_unused(tx: Transaction, template: ClusterTemplate) -> None:
    if tx.clusters.list(None, Page(limit=1), template_id=template.id):
        raise errors.BadInput(f"ClusterTemplate {template.id} is referenced by one or multiple clusters")


def _check_drivers(template: ClusterTemplate) -> None:
    for field, known in (("network_driver", NETWORK_DRIVERS), ("volume_driver", VOLUME_DRIVERS)):
        driver, names = template.attributes.get(field), known.get(template.coe, ("rexray",))
        if driver is not None and driver not in names:
            allowed = ", ".join(names)
            raise errors.BadInput(f"{field} '{driver}' is not known for {template.coe}; use one of: {allowed}")
