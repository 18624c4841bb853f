# SPDX-License-Identifier: Apache-2.0
"""Git's own protocol over HTTP: each environment has a repository that members push to and fetch from.

Called through the table of routes. Git itself does the talking; what a push leads to is decided in `git_pushes`.
"""

from __future__ import annotations

import gzip
import http
import zlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO, cast

from stackyard.api.application_deployment import git_pushes
from stackyard.api.call import Call, Reply
from stackyard.api.faults import Fault
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Deployment

QUERY = frozenset({"service"})
RECEIVE, UPLOAD = "receive-pack", "upload-pack"
# What is sent is meant to be seen at once, and never twice.
NOT_KEPT = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "X-Accel-Buffering": "no"}


def fault(what: Fault) -> Reply:
    """Write a fault as plain text, which git shows to its user."""
    text = what.message or http.HTTPStatus(what.status).phrase
    return Reply(what.status, stream=(f"{text}\n".encode(),), content_type="text/plain; charset=utf-8")


def refs(call: Call) -> Reply:
    """Tell what the repository has, in the words of the service that is to follow."""
    service = call.query.get("service", "").removeprefix("git-")
    if service not in (RECEIVE, UPLOAD):
        raise errors.BadInput("this is a git repository; clone it with git, or push to it")
    if service == RECEIVE and not call.may("create_workflow"):
        raise errors.Forbidden("Policy doesn't allow create_workflow to be performed.")
    told = call.services.repositories.advertise(_repository(call), service, _protocol(call.headers))
    # Version 2 begins with its capabilities, the others with the service's name
    head = b"" if b"version 2" in told[:32] else _packet(f"# service=git-{service}\n") + b"0000"
    return Reply(stream=(head + told,), content_type=f"application/x-git-{service}-advertisement", headers=NOT_KEPT)


def receive(call: Call) -> Reply:
    """Take a push; what it deploys is told while it happens."""
    answer: Iterable[bytes]
    try:
        answer = call.services.repositories.receive(_repository(call), _body(call), git_pushes.judge(call))
    except errors.StackyardError as error:
        answer = (_packet(f"\x03error: {error}\n"),)  # what git shows to its user, unlike the body of an HTTP error
    return Reply(stream=answer, content_type="application/x-git-receive-pack-result", headers=NOT_KEPT)


def upload(call: Call) -> Reply:
    """Answer a fetch or clone."""
    answer = call.services.repositories.serve(_repository(call), _body(call), _protocol(call.headers))
    return Reply(stream=answer, content_type="application/x-git-upload-pack-result", headers=NOT_KEPT)


def repository_of(of: Deployment) -> str:
    """Return which repository an environment is pushed to: production has the application's own."""
    return of.app_id if of.environment == PRODUCTION else f"{of.app_id}.{of.id}"


def _repository(call: Call) -> str:
    environment = call.args.get("environment")
    if environment is None:
        return str(call.target.id)
    return repository_of(call.services.intents.deployments.of(call.target, environment))


def _protocol(headers: Mapping[str, str]) -> str:
    return headers.get("Git-Protocol") or ""


def _packet(text: str) -> bytes:
    data = text.encode()
    return f"{len(data) + 4:04x}".encode() + data


def _body(call: Call) -> BinaryIO:
    """Return the request's body, unpacked where git has packed it."""
    if call.stream is None:
        raise errors.BadInput("the request has no body")
    if call.headers.get("Content-Encoding", "").lower() not in ("gzip", "x-gzip"):
        return call.stream
    return cast("BinaryIO", _Unpacked(call.stream))


class _Unpacked:
    """A body that arrives gzip'd."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=stream)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raises BadInput where they are damaged."""
        try:
            return self._file.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise errors.BadInput("the request's body is damaged gzip data") from None
