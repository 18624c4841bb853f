# SPDX-License-Identifier: Apache-2.0
"""A limit on processes for the containers of the engine's own builder, which has no word for one.

Used by `engine_build`. While a build runs, each container without a name that starts on the node gets the limit
within milliseconds; a fork bomb has made some hundreds of processes by then, and makes no more.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import docker.errors
import requests
import urllib3.exceptions

from stackyard.drivers.builders.engine import BuildNode

# The name that an engine gives to what nobody named, as its builder doesn't. Labels would be the tenant's to write.
_UNNAMED = re.compile(r"[a-z]+_[a-z]+\d*")
_BROKEN = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError)


@contextlib.contextmanager
def process_limit(node: BuildNode, pids: int) -> Iterator[None]:
    """Limit the processes of what the engine's builder starts, while the block runs."""
    with node.errors():
        events = node.patient.events(decode=True, filters={"type": "container", "event": ["create", "start"]})
    thread = threading.Thread(target=_watch, args=(node, events, pids), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(*_BROKEN, AttributeError):
            events.close()
        thread.join(timeout=2)


def _watch(node: BuildNode, events: Any, pids: int) -> None:
    with contextlib.suppress(*_BROKEN, AttributeError):
        for event in events:
            if _UNNAMED.fullmatch(event["Actor"]["Attributes"].get("name", "")):
                _limit(node, event["Actor"]["ID"], pids)


def _limit(node: BuildNode, container: str, pids: int) -> None:
    """Set the limit; a container that is gone already needs none."""
    url = f"{node.api.base_url}/v{node.api.api_version}/containers/{container}/update"
    with contextlib.suppress(*_BROKEN):
        node.api.post(url, json={"PidsLimit": pids}, timeout=10)
