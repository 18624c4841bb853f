# SPDX-License-Identifier: Apache-2.0
"""Domains of applications: each host name is there once in the whole platform."""

from __future__ import annotations

from stackyard.model import errors
from stackyard.model.domains import Domain
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Page, Repository


class Domains(Repository[Domain]):
    """Rows of domains."""

    word = "domain"
    mapper = mapper(Domain, tables.domains)

    def of(self, app_id: str) -> list[Domain]:
        """Return an application's domains by name."""
        return self.list(None, Page(sort="host"), app_id=app_id)

    def at(self, host: str) -> Domain | None:
        """Return the domain of this name, whoever has it."""
        found = self.select(self.table.c.host == host)
        return found[0] if found else None

    def put(self, domain: Domain) -> Domain:
        """Write a domain, or what has changed of it; raises Conflict when its name was taken in this instant."""
        known = self.at(domain.host)
        if known is None:
            try:
                return self.insert(domain)
            except errors.Conflict:
                raise errors.Conflict(taken(domain.host)) from None
        values = self.mapper.to_row(domain)
        self.connection.execute(self.table.update().where(self.table.c.id == known.id).values(body=values["body"]))
        return domain


def taken(host: str) -> str:
    """Return why a name can't be had, without telling who has it."""
    return f"{host} leads to another application already; a name leads to one only"
