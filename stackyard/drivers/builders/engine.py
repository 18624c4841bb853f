# SPDX-License-Identifier: Apache-2.0
"""The engine of the node that builds: calls with the product's own errors, and streams with a deadline.

Used by the other files of this package. Knows no applications.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from typing import Any

import docker
import docker.errors
import requests
import urllib3.exceptions

from stackyard.drivers.builders.deadlines import Deadline
from stackyard.drivers.engines import connection
from stackyard.model import errors
from stackyard.model.ports import NodeAccess

Connect = Callable[[NodeAccess, float], docker.DockerClient]
CALL_SECONDS = 60.0
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class BuildNode:
    """One node's engine."""

    def __init__(self, node: NodeAccess, deadline: Deadline, connect: Connect = connection.connect) -> None:
        self.name = node.name or node.address
        self.deadline = deadline
        self.api = connect(node, CALL_SECONDS).api
        # These reads may be silent as long as a build may last: the deadline cuts them off, not the connection.
        self.patient = connect(node, deadline.seconds + 60).api
        for api in (self.api, self.patient):
            api.trust_env = False  # REQUESTS_CA_BUNDLE would replace the cluster's own CA

    def inspect(self, image: str) -> dict[str, Any] | None:
        """Return what the engine knows of an image, None when it has none."""
        with self.errors():
            try:
                return dict(self.api.inspect_image(image))  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                return None

    def stream(self, path: str, **arguments: Any) -> Generator[dict[str, Any], None, None]:
        """POST and yield the messages of the answer as they come; raises GiveUp at the deadline."""
        with self.errors():
            url = f"{self.api.base_url}/v{self.api.api_version}{path}"
            answer = self.api.post(url, stream=True, timeout=(10, self.deadline.seconds + 60), **arguments)
            # Closing the stream makes the engine stop the work, too.
            with contextlib.closing(answer), self.deadline.cutting(answer.raw.shutdown):
                self._check(answer)
                for line in answer.iter_lines(chunk_size=None):
                    if line.strip():
                        yield json.loads(line)

    def _check(self, answer: requests.Response) -> None:
        if answer.status_code >= 400:
            try:
                message = answer.json()["message"]
            except (ValueError, KeyError):
                message = answer.text[:500]
            raise _refused(self.name, answer.status_code, message)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into the product's errors."""
        try:
            yield
        except docker.errors.APIError as error:
            raise _refused(self.name, error.status_code or 500, str(error.explanation or error)) from error
        except BROKEN as error:
            if self.deadline.passed:
                raise self.deadline.error() from error
            raise errors.Unavailable(f"the engine of {self.name} does not answer: {error}") from error
        except docker.errors.DockerException as error:
            raise errors.Unavailable(f"the engine of {self.name} does not answer: {error}") from error


def _refused(name: str, status: int, message: str) -> errors.StackyardError:
    if "no space left on device" in message:
        return errors.GiveUp(
            f"the disk of node {name} is full: {message}; remove old images or volumes, then push again"
        )
    kind = errors.Unavailable if status in (502, 503) else errors.GiveUp
    return kind(f"node {name} says: {message}")
