# SPDX-License-Identifier: Apache-2.0
"""Waiting until the platform's parts answer, each for as long as it may need. Called by `platform`."""

from __future__ import annotations

import docker
from oslo_config import cfg

from stackyard.local import addresses, containers, identity, settings
from stackyard.local.state import State
from stackyard.local.supervisor import Supervisor
from stackyard.model import errors

ANSWER_SECONDS = 240
"""How long a part may take to answer at first: Keystone alone needs a minute where others use all cores."""


def of_processes(state: State, options: cfg.ConfigOpts, supervisor: Supervisor) -> None:
    """Wait for Keystone, tell it of the services, wait for the API and the workers; raises Unavailable with a log."""
    if settings.own_identity(options):
        url = settings.identity_url(options)
        _answer(supervisor, "keystone", url)
        identity.converge(state, url, identity.catalog(url, settings.api_url(options)))
    _answer(supervisor, "api", f"{settings.api_url(options)}/")
    _running(supervisor, "worker")


def of_containers(state: State, options: cfg.ConfigOpts, client: docker.DockerClient) -> None:
    """Wait for the registry and the router; raises Unavailable with the end of a log."""
    verify = str(state / "secrets/registry-ca.crt")
    host = f"[{options.router.host}]" if ":" in options.router.host else options.router.host
    urls = {
        "registry": f"https://127.0.0.1:{options.registry.port}/v2/",
        "router": f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{options.router.port}/",
    }
    for part, url in urls.items():
        if not addresses.wait(lambda url=url: addresses.answers(url, verify), ANSWER_SECONDS, lambda: None):  # type: ignore[misc]
            found = containers.find(client, str(options.instance), part)
            log = found.logs(tail=15).decode(errors="replace") if found else "(no container)"
            raise errors.Unavailable(f"the {part} does not answer at {url}; its log ends:\n{log}")


def _answer(supervisor: Supervisor, part: str, url: str) -> None:
    if not addresses.wait(lambda: addresses.answers(url), ANSWER_SECONDS, lambda: _fatal(supervisor, part)):
        raise errors.Unavailable(f"{part} does not answer at {url}; its log ends:\n{supervisor.log_end(part)}")


def _running(supervisor: Supervisor, part: str) -> None:
    def running() -> bool:
        return any(each.name == part and each.state == "RUNNING" for each in supervisor.processes())

    if not addresses.wait(running, ANSWER_SECONDS, lambda: _fatal(supervisor, part)):
        raise errors.Unavailable(f"{part} does not stay up; its log ends:\n{supervisor.log_end(part)}")


def _fatal(supervisor: Supervisor, part: str) -> str | None:
    dead = [each for each in supervisor.processes() if each.name == part and each.state == "FATAL"]
    return dead[0].reason or "it exits at once" if dead else None
