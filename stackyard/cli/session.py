# SPDX-License-Identifier: Apache-2.0
"""HTTP to the platform's APIs: token, endpoint from the catalog, errors as plain sentences.

Used by every command that talks to the platform; knows nothing of applications or clusters.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import urllib3

from stackyard.cli import clouds
from stackyard.model import errors

if TYPE_CHECKING:
    Body = bytes | BinaryIO | None

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
ERRORS: dict[int, type[errors.StackyardError]] = {
    400: errors.BadInput,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    503: errors.Unavailable,
}


class Session:
    """A connection to one API of the platform (`service` is its type in the catalog).

    Paths begin with `/` and are relative to the API's `/v1`. Every method raises the error of
    `stackyard.model.errors` that belongs to the answer's status, with the platform's own words.
    """

    def __init__(self, service: str, headers: Mapping[str, str] | None = None) -> None:
        self._service = service
        self._headers = dict(headers or {})
        self._ticket = clouds.ticket()
        self._pool = _pool(self._ticket)

    @property
    def endpoint(self) -> str:
        """Return the API's address with its version; raises Unavailable where the catalog has none."""
        return self._endpoint()

    @property
    def verify(self) -> bool | str:
        """Return how TLS is checked: True, False or the path of a CA bundle."""
        return self._ticket.verify

    def proved_token(self) -> str:
        """Return a token that the platform has just accepted; for programs beside this one."""
        self._json("GET", "/language_packs")
        return self._ticket.token

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded JSON at `path`."""
        return self._json("GET", with_query(path, query))

    def post(self, path: str, document: object, **query: Any) -> Any:
        """Send a JSON document to a collection or action."""
        return self._json("POST", with_query(path, query), document)

    def put(self, path: str, document: object, **query: Any) -> Any:
        """Replace what is at `path`."""
        return self._json("PUT", with_query(path, query), document)

    def patch(self, path: str, document: object, **query: Any) -> Any:
        """Change parts of what is at `path`."""
        return self._json("PATCH", with_query(path, query), document)

    def delete(self, path: str) -> Any:
        """Ask for what is at `path` to go; return the decoded answer, if there is one."""
        return self._json("DELETE", path)

    def upload(self, path: str, body: BinaryIO, content_type: str) -> Any:
        """Send a file, as a stream, and return the decoded JSON answer."""
        return _decoded(self._answer("POST", path, body, {"Content-Type": content_type}))

    def stream(self, path: str, **query: Any) -> Iterator[bytes]:
        """Yield the body piece by piece as it arrives; raises Unavailable when it breaks off."""
        answer = self._answer("GET", with_query(path, query), None, {}, endless=True)
        try:
            yield from answer.stream(65536)
        except (urllib3.exceptions.HTTPError, OSError):
            raise errors.Unavailable("the platform broke the connection off") from None
        finally:
            answer.close()

    def _json(self, method: str, path: str, document: object = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        return _decoded(self._answer(method, path, body, {"Content-Type": "application/json"} if body else {}))

    def _answer(
        self, method: str, path: str, body: Body, headers: Mapping[str, str], *, endless: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """Return an answer below 400; a kept token that is refused is replaced once."""
        answer = self._send(method, path, body, headers, endless)
        if answer.status == 401:
            answer.drain_conn()
            self._ticket = clouds.ticket(fresh=True)
            if body is not None and not isinstance(body, bytes):
                body.seek(0)
            answer = self._send(method, path, body, headers, endless)
        if answer.status >= 400:
            raise failure(answer.status, answer.read(65536))
        return answer

    def _send(
        self, method: str, path: str, body: Body, headers: Mapping[str, str], endless: bool
    ) -> urllib3.BaseHTTPResponse:
        url = self._endpoint() + path
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=None if endless else ANSWER_SECONDS)
        sent = {"X-Auth-Token": self._ticket.token, "Accept": "*/*", **self._headers, **headers}
        try:
            return self._pool.request(
                method, url, body=body, headers=sent, timeout=timeout, retries=False, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError):
            raise clouds.unreachable(_origin(url)) from None

    def _endpoint(self) -> str:
        url = self._ticket.endpoints.get(self._service)
        if not url:
            raise errors.Unavailable(f"this cloud's catalog has no service of type {self._service}")
        return url.rstrip("/").removesuffix("/v1") + "/v1"


def _pool(ticket: clouds.Ticket) -> urllib3.PoolManager:
    if ticket.verify is False:
        return urllib3.PoolManager(cert_reqs="CERT_NONE")
    return urllib3.PoolManager(ca_certs=ticket.verify if isinstance(ticket.verify, str) else None)


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """Return `path` with the query's values that are not None."""
    given = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urllib.parse.urlencode(given)}" if given else path


def quote(name: str) -> str:
    """Return a name as one segment of a path."""
    return urllib.parse.quote(name, safe="")


def _decoded(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        data = answer.read()
    except (urllib3.exceptions.HTTPError, OSError):
        raise errors.Unavailable("the platform broke the connection off") from None
    return json.loads(data) if data.strip() else None


def failure(status: int, body: bytes) -> errors.StackyardError:
    """Return the error that an answer's status and body stand for."""
    kind = ERRORS.get(status, errors.StackyardError)
    return kind(_reason(body) or f"the platform answered HTTP {status}")


def _reason(body: bytes) -> str:
    """Return the sentence in an error body of Solum's, Magnum's or Keystone's shape; else its text's first line."""
    text = body.decode(errors="replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        return "" if text.startswith("<") else text.partition("\n")[0]
    if not isinstance(document, dict):
        return ""
    listed, nested = document.get("errors"), document.get("error")
    first = listed[0] if isinstance(listed, list) and listed else {}
    inner = nested if isinstance(nested, dict) else {}
    return str(document.get("faultstring") or first.get("detail") or first.get("title") or inner.get("message") or "")
