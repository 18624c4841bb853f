# SPDX-License-Identifier: Apache-2.0
"""What a push may name as its source. Used by the API before a build is written; the rules are the model's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackyard.model import errors, sources
from stackyard.model.builds import Source

_DIGEST = re.compile(r"[0-9a-f]{64}")


def source(values: Mapping[str, Any], *, force: bool = False) -> Source:
    """Return the source that was asked for; raises BadInput saying which part is wrong."""
    repository, digest = values.get("repository") or "", values.get("digest") or ""
    if bool(repository) == bool(digest):
        raise errors.BadInput("source needs either 'repository' (a git URL) or 'digest' (of an uploaded archive)")
    revision = values.get("revision") or ""
    if digest:
        return Source(digest=_digest(digest), revision=revision, force=force)
    sources.check_repository(repository)
    sources.check_revision(revision)
    return Source(repository=repository, revision=revision, force=force)


def _digest(digest: str) -> str:
    plain = digest.removeprefix("sha256:")
    if not _DIGEST.fullmatch(plain):
        raise errors.BadInput("source.digest must be the sha256 that the upload of the archive was answered with")
    return plain
