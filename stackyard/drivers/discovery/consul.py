# SPDX-License-Identifier: Apache-2.0
"""Consul, by the HTTP API of the agent at which everything of an environment is registered.

Implements the port Discovery. An agent counts for what was registered at it: what is taken out of the catalog alone
comes back (anti-entropy), so that only the agent is asked. https://developer.hashicorp.com/consul/api-docs/agent/service
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import consul
import requests
from consul import exceptions

from stackyard.model import errors
from stackyard.model.discovery import Registration, prefix

MARK = "stackyard"
"""Key of the metadata that holds the digest of what was told."""
SECONDS = 2.0


class ConsulDiscovery:
    """Registers at whichever agent it is given."""

    def registered(self, endpoint: str, owner: str) -> Mapping[str, str]:
        """Return the ids registered for an environment, each with the digest of what was told; raises Unavailable."""
        with _agent(endpoint) as agent:
            services: dict[str, dict[str, Any]] = agent.services()
        own = {ident: service for ident, service in services.items() if ident.startswith(prefix(owner))}
        return {ident: str((service.get("Meta") or {}).get(MARK, "")) for ident, service in own.items()}

    def register(self, endpoint: str, asked: Registration) -> None:
        """Register a service, or tell of it anew; raises Unavailable, and GiveUp when it is refused."""
        with _agent(endpoint) as agent:
            agent.service.register(
                asked.name,
                service_id=asked.id,
                address=asked.address,
                port=asked.port,
                tags=list(asked.tags),
                meta={**asked.meta, MARK: asked.digest},
                check=dict(asked.check) or None,
            )

    def deregister(self, endpoint: str, ident: str) -> None:
        """Take a service out, if it is there; raises Unavailable."""
        with _agent(endpoint) as agent, contextlib.suppress(errors.NotFound):
            agent.service.deregister(ident)


@contextlib.contextmanager
def _agent(endpoint: str) -> Iterator[Any]:
    """Yield an agent's API; its errors are told as the port tells them."""
    host, _, port = endpoint.rpartition(":")
    client = consul.Consul(host.strip("[]"), int(port), connections_timeout=SECONDS)
    try:
        yield client.agent
    except (exceptions.BadRequest, exceptions.ACLDisabled, exceptions.ACLPermissionDenied) as error:
        raise errors.GiveUp(f"Consul at {endpoint} refuses: {error}") from None
    except exceptions.NotFound:
        raise errors.NotFound(f"Consul at {endpoint} knows no such service") from None
    except (exceptions.ConsulException, requests.RequestException, OSError) as error:
        raise errors.Unavailable(f"Consul at {endpoint} does not answer: {type(error).__name__}") from None
    finally:
        client.http.close()
