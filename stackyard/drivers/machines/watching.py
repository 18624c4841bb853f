# SPDX-License-Identifier: Apache-2.0
"""The Engine's own word on nodes that start, end or go, as a stream of cluster ids.

Used by the docker machines only. A stream that is silent is opened again every half minute, since a connection may
die without a word; each begins where the Engine's clock stood at the end of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import docker
import requests
import urllib3

from stackyard.drivers.engines.connection import clock
from stackyard.drivers.engines.failures import plainly
from stackyard.drivers.machines import container
from stackyard.model import errors

SILENT_SECONDS = 30
ANSWER_SECONDS = 10
OVERLAP_SECONDS = 2
EVENTS = ("start", "die", "destroy")
TIMEOUTS = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


def watch(api: docker.APIClient, instance: str) -> Iterator[str]:
    """Yield the cluster of each event; raises Unavailable when the Engine ends or no longer answers."""
    marks = {"type": ["container"], "event": list(EVENTS), "label": [f"{container.INSTANCE}={instance}"]}
    while True:
        with plainly("watching the nodes"):
            since = int(clock(api, ANSWER_SECONDS)) - OVERLAP_SECONDS
            yield from _events(api, {"filters": json.dumps(marks), "since": since})


def _events(api: docker.APIClient, wanted: dict[str, Any]) -> Iterator[str]:
    """Yield from one stream until it has been silent for long; raises Unavailable when the Engine ends it."""
    url = f"{api.base_url}/v{api.api_version}/events"
    with api.get(url, params=wanted, stream=True, timeout=(ANSWER_SECONDS, SILENT_SECONDS)) as answer:
        answer.raise_for_status()
        try:
            for line in answer.iter_lines(chunk_size=None):
                marks = json.loads(line)["Actor"]["Attributes"]
                if container.CLUSTER in marks:
                    yield marks[container.CLUSTER]
        except (requests.exceptions.ConnectionError, *TIMEOUTS) as error:
            if not _timed_out(error):
                raise
            return
    raise errors.Unavailable("watching the nodes: the Engine has ended")


def _timed_out(error: BaseException) -> bool:
    """Tell whether it was only silence; the HTTP library wraps that in a connection error."""
    return isinstance(error, TIMEOUTS) or any(isinstance(cause, TIMEOUTS) for cause in error.args)
