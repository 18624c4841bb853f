# SPDX-License-Identifier: Apache-2.0
"""Cluster templates: what clusters of one kind have in common. Called by the container-infra API.

A template may name an engine that there is no driver for: it is only a description until a cluster is made of it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import random
from collections.abc import Mapping
from typing import Any

from stackyard.intents.rules import SWARM, Rules, check_labels, page_of, visible
from stackyard.model import errors, offers
from stackyard.model.clusters import ClusterTemplate
from stackyard.model.phase import Phase
from stackyard.model.records import Caller, utcnow
from stackyard.store import Page, Store, Transaction

OWN = frozenset({"name", "coe", "image_id", "labels", "public", "hidden"})
ALWAYS_CHANGEABLE = frozenset({"name", "public", "hidden", "tags"})
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

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, caller: Caller, page: Page) -> list[ClusterTemplate]:
        """Return own and public templates; admins see all."""
        with self.store.reading() as tx:
            return page_of(tx.templates, caller, page)

    def find(self, caller: Caller, ident: str) -> ClusterTemplate:
        """Return one by id or name; raises NotFound."""
        with self.store.reading() as tx:
            return visible(tx.templates, caller, ident)

    def create(self, caller: Caller, values: Mapping[str, Any]) -> ClusterTemplate:
        """Write a template; raises BadInput for an image, flavor, network, driver or label that is not known here."""
        template = ClusterTemplate(
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=values.get("name") or generated_name("template"),
            coe=values["coe"],
            image_id=values["image_id"],
            labels=values.get("labels") or {},
            public=values.get("public") or False,
            hidden=values.get("hidden") or False,
            attributes={"network_driver": _default_network(values["coe"]), **_attributes(values)},
        )
        template = self._checked(template)
        with self.store.transaction() as tx:
            return tx.templates.insert(template)

    def update(self, caller: Caller, ident: str, values: Mapping[str, Any]) -> ClusterTemplate:
        """Overwrite the given fields (None: unset); raises BadInput when clusters are made of the template."""
        with self.store.transaction() as tx:
            template = visible(tx.templates, caller, ident)
            if set(values) - ALWAYS_CHANGEABLE:
                _check_unused(tx, template)
            changed = _changed(template, values)
            # What is only renamed or hidden need not be on offer any more.
            changed = self._checked(changed) if set(values) - ALWAYS_CHANGEABLE else changed
            tx.templates.save(changed)
            return changed

    def delete(self, caller: Caller, ident: str) -> None:
        """Remove a template; raises BadInput while clusters are made of it."""
        with self.store.transaction() as tx:
            template = visible(tx.templates, caller, ident)
            _check_unused(tx, template)
            tx.templates.delete(template.id)

    def _checked(self, template: ClusterTemplate) -> ClusterTemplate:
        """Return the template with its image's distribution; raises BadInput for what can't be."""
        image = offers.find(self.rules.offers.images, template.image_id, "image")
        for name in ("flavor_id", "master_flavor_id"):
            if (flavor := template.attributes.get(name)) is not None:
                offers.find(self.rules.offers.flavors, str(flavor), "flavor")
        check_networks(self.rules, template.attributes)
        _check_nameservers(template.attributes.get("dns_nameserver"))
        _check_drivers(template)
        check_labels(self.rules, template.coe, template.labels)
        if template.attributes.get("tls_disabled") and template.coe in SWARM:
            raise errors.BadInput("tls_disabled must be false: engines here listen with mutual TLS only")
        attributes = {**template.attributes, "cluster_distro": image.os_distro}
        return dataclasses.replace(template, attributes=attributes)


def check_networks(rules: Rules, attributes: Mapping[str, object]) -> None:
    """Raise BadInput for networks that there are not; a subnet is none anywhere."""
    outside = [network for network in rules.offers.networks if network.external]
    for name, known in (("external_network_id", outside), ("fixed_network", rules.offers.networks)):
        if (network := attributes.get(name)) is not None:
            offers.find(known, str(network), name)
    if attributes.get("fixed_subnet") is not None:
        raise errors.BadInput("fixed_subnet is not known here: each cluster has a network and subnet of its own")


def _check_nameservers(given: object) -> None:
    try:
        for address in str(given).split(",") if given is not None else ():
            ipaddress.ip_address(address.strip())
    except ValueError:
        raise errors.BadInput("dns_nameserver must be IP addresses with commas between them") from None


def _default_network(coe: str) -> str:
    return NETWORK_DRIVERS[coe][0]


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
    upgrading = [
        cluster
        for phase in (Phase.CREATING, Phase.UPDATING, Phase.CREATE_FAILED, Phase.UPDATE_FAILED)
        for cluster in tx.clusters.list(None, phase=phase.value)
        if cluster.upgrade_to == template.id
    ]
    if upgrading or tx.clusters.list(None, Page(limit=1), template_id=template.id):
        raise errors.BadInput(f"ClusterTemplate {template.id} is referenced by one or multiple clusters")


def _check_drivers(template: ClusterTemplate) -> None:
    for field, known in (("network_driver", NETWORK_DRIVERS), ("volume_driver", VOLUME_DRIVERS)):
        driver, names = template.attributes.get(field), known.get(template.coe, ("rexray",))
        if driver is not None and driver not in names:
            allowed = ", ".join(names)
            raise errors.BadInput(f"{field} '{driver}' is not known for {template.coe}; use one of: {allowed}")
