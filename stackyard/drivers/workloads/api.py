# SPDX-License-Identifier: Apache-2.0
"""The Engine API of one node: JSON calls and streams, with the product's own errors.

Used by the other files of this package; knows no runs and no applications. Docker's SDK provides the
connection; calls are made as the API documents them because the SDK can't pass auth to a service,
nor the parts of a task's specification that are given here.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests

from stackyard.drivers.engines.connection import connect
from stackyard.model import errors
from stackyard.model.ports import NodeAccess

T = TypeVar("T")
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0


class NodeEngine:
    """The engine of one node; every call raises Unavailable when it does not answer."""

    def __init__(self, node: NodeAccess) -> None:
        self.node = node
        self._session = connect(node).api
        self.version = str(self._session.api_version)
        self._url = f"{self._session.base_url}/v{self.version}"

    def get(self, path: str, **params: str | int) -> Any:
        """Return the decoded answer of a GET; raises NotFound."""
        return self._call("GET", path, params=params).json()

    def post(
        self,
        path: str,
        body: object = None,
        auth: Mapping[str, str] | None = None,
        *,
        seconds: float = READ_SECONDS,
        **params: str | int,
    ) -> Any:
        """Return the decoded answer of a POST (None when it is empty); raises NotFound, Conflict, GiveUp."""
        headers = {"X-Registry-Auth": encoded(auth)} if auth else None
        limits = (CONNECT_SECONDS, seconds)
        answer = self._call("POST", path, params=params, json=body, headers=headers, timeout=limits)
        return answer.json() if answer.content else None

    def exec(self, container: str, command: Sequence[str], **options: object) -> str:
        """Make ready to run a command in a running container, with options of ContainerExec; return its path.

        Raises NotFound, Conflict where the container does not run.
        """
        made = self.post(f"/containers/{container}/exec", {"Cmd": list(command), **options})
        return f"/exec/{made['Id']}"

    def collect(self, path: str, body: object, seconds: float) -> bytes:
        """Return all that a POST answers, as the engine frames it; raises NotFound, Conflict."""
        return self._call("POST", path, json=body, timeout=(CONNECT_SECONDS, seconds)).content

    def unpack(self, container: str, archive: bytes | Iterator[bytes], seconds: float = READ_SECONDS) -> None:
        """Unpack a tar archive at the top of a container's file system; raises NotFound, GiveUp."""
        sent: dict[str, Any] = {"data": archive, "headers": {"Content-Type": "application/x-tar"}}
        limits = (CONNECT_SECONDS, seconds)
        self._call("PUT", f"/containers/{container}/archive", params={"path": "/"}, timeout=limits, **sent)

    def delete(self, path: str, **params: str | int) -> None:
        """Delete what may be absent already."""
        with contextlib.suppress(errors.NotFound):
            self._call("DELETE", path, params=params)

    @contextlib.contextmanager
    def stream(
        self, method: str, path: str, *, auth: Mapping[str, str] | None = None, idle: float | None, **params: str | int
    ) -> Iterator[requests.Response]:
        """Yield an answer that is read while it grows; a read ends with a Timeout after `idle` seconds of silence."""
        # Archives would be packed on the node, which costs more than the bytes between it and us.
        headers = {"Accept-Encoding": "identity"} | ({"X-Registry-Auth": encoded(auth)} if auth else {})
        answer = self._call(method, path, params=params, headers=headers, stream=True, timeout=(CONNECT_SECONDS, idle))
        try:
            yield answer
        finally:
            answer.close()

    def unavailable(self, cause: object) -> errors.Unavailable:
        """Return the error that says that this engine does not answer, and why."""
        return errors.Unavailable(f"the engine of {self.node.name} ({self.node.address}) does not answer: {cause}")

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        arguments.setdefault("timeout", (CONNECT_SECONDS, READ_SECONDS))
        # Said explicitly, because REQUESTS_CA_BUNDLE would otherwise replace the cluster's own CA.
        arguments["verify"] = self._session.verify
        try:
            answer = self._session.request(method, self._url + path, **arguments)
        except requests.RequestException as error:
            raise self.unavailable(_root(error)) from error
        if answer.status_code >= 400:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: requests.Response) -> errors.StackyardError:
        try:
            message = str(answer.json()["message"])
        except (ValueError, KeyError, TypeError):
            message = answer.text or answer.reason
        if answer.status_code >= 500:
            return errors.Unavailable(f"the engine of {self.node.name} ({self.node.address}) failed: {message}")
        kind = {404: errors.NotFound, 409: errors.Conflict}.get(answer.status_code, errors.GiveUp)
        return kind(f"the engine of {self.node.name} refuses: {message}")


def encoded(auth: Mapping[str, str]) -> str:
    """Return the value of the X-Registry-Auth header (base64url of JSON)."""
    return base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()


def labelled(*labels: str, **more: Sequence[str]) -> str:
    """Return the `filters` parameter for these labels (`key` or `key=value`) and other filters."""
    return json.dumps({"label": list(labels), **{key: list(values) for key, values in more.items()}})


def everywhere(nodes: Sequence[NodeAccess], call: Callable[[NodeEngine], T]) -> dict[str, T | errors.StackyardError]:
    """Make one call on all nodes at once; return answers or errors by node name."""

    def attempt(node: NodeAccess) -> T | errors.StackyardError:
        try:
            return call(NodeEngine(node))
        except errors.StackyardError as error:
            return error

    if len(nodes) <= 1:
        return {node.name: attempt(node) for node in nodes}
    with ThreadPoolExecutor(len(nodes), "engines") as pool:
        return dict(zip((node.name for node in nodes), pool.map(attempt, nodes), strict=True))


def _root(error: BaseException) -> str:
    """Return the words of the innermost cause; the outer ones repeat the address."""
    reason = getattr(error.args[0] if error.args else None, "reason", None) or error
    words = str(reason.args[-1] if reason.args else reason)
    return words.rpartition("Failed to establish a new connection: ")[2]
