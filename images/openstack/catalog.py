#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tells Keystone of the other services: their users, endpoints and domains, as /etc/openstack/catalog.yaml has them.

A stage `init` that runs again when the file has changed. What is right already stays as it is: a password that is set
anew would end all tokens of its user.
"""

import concurrent.futures
import pathlib

import openstack
import yaml
from keystoneauth1 import exceptions, identity, session

CATALOG = pathlib.Path("/etc/openstack/catalog.yaml")
ROLES = ("admin", "service")


def main() -> None:
    """Bring Keystone to what the file says."""
    wanted = yaml.safe_load(CATALOG.read_text())
    catalog = Catalog(openstack.connect(cloud="openstack"), wanted["region"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(catalog.register, service) for service in wanted["services"]]:
            done.result()
    for domain in wanted["domains"]:
        make_domain(catalog.cloud, domain, catalog.roles[0])


class Catalog:
    """Keystone as it is, and services being registered there."""

    def __init__(self, cloud, region: str) -> None:
        keystone = cloud.identity
        self.cloud = cloud
        self.region = region
        self.project = keystone.find_project("service", domain_id="default") or keystone.create_project(
            name="service", domain_id="default"
        )
        self.roles = [keystone.find_role(name, ignore_missing=False) for name in ROLES]
        self.services = {found.type: found for found in keystone.services()}
        self.endpoints = {(found.service_id, found.interface): found for found in keystone.endpoints()}

    def register(self, wanted: dict[str, str]) -> None:
        """Have a service's user (if it has a password), with roles in the project `service`, and its endpoints."""
        keystone = self.cloud.identity
        if "password" in wanted:
            user = have_user(self.cloud, wanted["name"], wanted["password"], "default")
            for role in self.roles:
                keystone.assign_project_role_to_user(self.project, user, role)
        known = self.services.get(wanted["type"]) or keystone.create_service(name=wanted["name"], type=wanted["type"])
        for interface, url in (("public", wanted["url"]), ("internal", wanted.get("internal"))):
            if url is None:
                continue
            found = self.endpoints.get((known.id, interface))
            if found is None:
                keystone.create_endpoint(service_id=known.id, interface=interface, url=url, region_id=self.region)
            elif found.url != url:
                keystone.update_endpoint(found, url=url)
        print(f"{wanted['name']}: registered", flush=True)


def have_user(cloud, name, password, domain):
    """Return the user of this name, who has this password afterwards."""
    keystone = cloud.identity
    user = keystone.find_user(name, domain_id=domain)
    if user is None:
        return keystone.create_user(name=name, password=password, domain_id=domain)
    if not logs_in(cloud, user.id, password):
        keystone.update_user(user, password=password)
    return user


def logs_in(cloud, user, password) -> bool:
    """Tell whether the password is the user's."""
    login = identity.V3Password(auth_url=cloud.config.get_auth_args()["auth_url"], user_id=user, password=password)
    try:
        return bool(session.Session(auth=login).get_token())
    except exceptions.Unauthorized:
        return False


def make_domain(cloud, wanted, role) -> None:
    """Have a domain and its administrator."""
    keystone = cloud.identity
    domain = keystone.find_domain(wanted["name"]) or keystone.create_domain(name=wanted["name"])
    user = have_user(cloud, wanted["admin"], wanted["password"], domain.id)
    keystone.assign_domain_role_to_user(domain, user, role)
    print(f"domain {wanted['name']}: there", flush=True)


if __name__ == "__main__":
    main()
