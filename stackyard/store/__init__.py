# SPDX-License-Identifier: Apache-2.0
"""All SQL. A request or a worker opens a transaction and reaches each noun's rows through it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from stackyard.model import errors
from stackyard.store import (
    applications,
    backups,
    builds,
    clusters,
    database,
    domains,
    events,
    jobs,
    quotas,
    services,
    trusts,
)
from stackyard.store.records import Page

__all__ = ["Page", "Store", "Transaction"]


class Transaction:
    """The rows of all nouns, seen and changed together."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.clusters = clusters.Clusters(connection)
        self.templates = clusters.Templates(connection)
        self.nodegroups = clusters.NodeGroups(connection)
        self.applications = applications.Applications(connection)
        self.releases = applications.Releases(connection)
        self.deployments = applications.Deployments(connection)
        self.builds = builds.Builds(connection)
        self.domains = domains.Domains(connection)
        self.trusts = trusts.Trusts(connection)
        self.jobs = jobs.Jobs(connection)
        self.backups = backups.Backups(connection)
        self.events = events.Events(connection)
        self.quotas = quotas.Quotas(connection)
        self.services = services.Services(connection)


class Store:
    """The database. `wake` is called after each commit of new intent."""

    def __init__(self, url: str, pool_size: int = 20, wake: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self.engine = database.create_engine(url, pool_size)
        self.wake = wake

    def migrate(self) -> None:
        """Create or upgrade the schema."""
        database.migrate(self.url)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that writes, and wake the workers after it; rolled back when the block raises."""
        with self.saving() as transaction:
            yield transaction
        self.wake()

    @contextlib.contextmanager
    def saving(self) -> Iterator[Transaction]:
        """Open a transaction of a worker's own save, which wakes nobody."""
        writer = self.engine.execution_options(**{database.WRITE: True})
        with _plain_errors(), writer.begin() as connection:
            yield Transaction(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a transaction that only reads."""
        with _plain_errors(), self.engine.connect() as connection, connection.begin():
            yield Transaction(connection)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Say in words what the database's own errors mean for a caller."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "disk is full" in text or "No space left" in text:
            raise errors.Unavailable("the database's disk is full; free some space and try again") from error
        raise errors.Unavailable(f"the database does not answer: {text}") from error
