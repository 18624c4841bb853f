# SPDX-License-Identifier: Apache-2.0
"""Manifests, configurations and layers in a registry, by the OCI distribution API.

Used by `rebase` and `assembling`. Knows nothing of applications. Each thread keeps a connection of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, BinaryIO

import requests

from stackyard.model import errors

Access = Sequence[tuple[str, Sequence[str]]]
Authorize = Callable[[Access], Mapping[str, str]]
"""Takes repositories with the actions wanted on each, and returns the headers that allow them."""

SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = f"{SCHEMA2}, application/vnd.oci.image.manifest.v1+json"
BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
TIMEOUT = 30
_REMEMBERED = 64


@dataclasses.dataclass(frozen=True)
class Manifest:
    """An image in a registry: its digest, its manifest, its configuration."""

    digest: str
    document: dict[str, Any]
    config: dict[str, Any]

    @property
    def diff_ids(self) -> list[str]:
        """Return the digests of its layers' content, from the lowest on."""
        return list(self.config["rootfs"]["diff_ids"])


class Manifests:
    """One registry at `url` (with /v2); `verify` is its CA's file, or None where it has no TLS."""

    def __init__(self, url: str, authorize: Authorize, verify: str | None = None) -> None:
        self._url = url
        self._authorize = authorize
        self._verify = verify
        self._own = threading.local()
        self._configs: dict[str, bytes] = {}

    def read(self, repository: str, version: str) -> Manifest | None:
        """Return an image by tag or digest, None where there is none."""
        access = [(repository, ["pull"])]
        answer = self._call("GET", f"{repository}/manifests/{version}", access, headers={"Accept": ACCEPTED})
        if answer.status_code == 404:
            return None
        document = self._checked(answer, f"image {repository}").json()
        if "layers" not in document:
            raise errors.GiveUp(f"image {repository} is made for several platforms, or in a form of long ago")
        return Manifest(answer.headers["Docker-Content-Digest"], document, self._config(repository, document, access))

    def _config(self, repository: str, document: Mapping[str, Any], access: Access) -> dict[str, Any]:
        digest = str(document["config"]["digest"])
        if digest not in self._configs:  # what has a digest never changes; a stack's is read for many images
            answer = self._call("GET", f"{repository}/blobs/{digest}", access)
            if len(self._configs) >= _REMEMBERED:
                self._configs.clear()
            self._configs[digest] = self._checked(answer, f"configuration of {repository}").content
        return dict(json.loads(self._configs[digest]))

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Have a layer of another repository in this one, without its bytes being sent; False where it is not there."""
        query = urllib.parse.urlencode({"mount": digest, "from": source})
        access = [(repository, ["pull", "push"]), (source, ["pull"])]
        answer = self._call("POST", f"{repository}/blobs/uploads/?{query}", access)
        return self._checked(answer, f"layer {digest}").status_code == HTTPStatus.CREATED

    def put(self, repository: str, content: BinaryIO) -> str:
        """Store bytes (a layer, a configuration); return their digest."""
        access = [(repository, ["pull", "push"])]
        content.seek(0)
        digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"  # type: ignore[arg-type]
        content.seek(0)
        begun = self._checked(self._call("POST", f"{repository}/blobs/uploads/", access), "upload")
        place = begun.headers["Location"]
        place += ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": digest})
        self._checked(self._call("PUT", place, access, content), f"content of {repository}")
        return digest

    def write(self, repository: str, tag: str, document: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
        """Write an image; return its digest, or None where one of its layers is not in the repository."""
        access = [(repository, ["pull", "push"])]
        content = _encoded(config)
        digest = self.put(repository, io.BytesIO(content))
        described = {**document["config"], "digest": digest, "size": len(content)}
        body = _encoded({**document, "config": described})
        kind = {"Content-Type": document.get("mediaType", SCHEMA2)}
        answer = self._call("PUT", f"{repository}/manifests/{tag}", access, io.BytesIO(body), kind)
        if answer.status_code == HTTPStatus.BAD_REQUEST and BLOB_UNKNOWN in answer.text:
            return None
        return str(self._checked(answer, f"image {repository}").headers["Docker-Content-Digest"])

    def _call(
        self,
        method: str,
        path: str,
        access: Access,
        data: BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        url = urllib.parse.urljoin(f"{self._url}/", path)
        sent = {**self._authorize(access), **(headers or {})}
        try:
            return self._session().request(method, url, data=data, headers=sent, timeout=TIMEOUT)
        except (requests.RequestException, OSError) as error:
            self._own.session = None
            raise errors.Unavailable(f"the image registry does not answer: {error}") from None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            session.trust_env = False
            if self._verify:
                session.verify = self._verify
        return session

    def _checked(self, answer: requests.Response, what: str) -> requests.Response:
        if answer.ok:
            return answer
        said = f"the image registry answers {answer.status_code} for {what}: {answer.text[:300]}"
        kind = errors.GiveUp if answer.status_code in (400, 404) else errors.Unavailable
        raise kind(said)


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
