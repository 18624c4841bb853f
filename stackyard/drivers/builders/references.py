# SPDX-License-Identifier: Apache-2.0
"""Image references in their parts, and where the platform's registry may have such an image for a project.

Called by `images`. Pure.
"""

from __future__ import annotations

import dataclasses

PLATFORM = ("library/", "stackyard/")
LATEST = "latest"
_PUBLIC = ("docker.io",)
_OWN = "stackyard/"


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image: `host` is empty for the public default, `version` a tag or a digest."""

    host: str
    repository: str
    version: str

    @property
    def by_digest(self) -> bool:
        """Tell whether the version is a digest."""
        return self.version.startswith("sha256:")

    def at(self, version: str) -> str:
        """Return the same repository in another version, written in full."""
        host = f"{self.host}/" if self.host else ""
        return f"{host}{self.repository}{'@' if version.startswith('sha256:') else ':'}{version}"

    def __str__(self) -> str:
        return self.at(self.version)


def parse(image: str) -> Reference:
    """Return the parts of an image name as engines understand it."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    host, path = (first, rest) if slash and ("." in first or ":" in first or first == "localhost") else ("", name)
    path, tag = _tagged(path)
    if host in _PUBLIC:
        host, path = "", path.removeprefix("library/")
    return Reference(host, path, digest or tag or LATEST)


def in_platform(reference: Reference, address: str, project_id: str) -> str | None:
    """Return the repository in the platform's registry that this project may read it from, None where there is none."""
    if reference.host not in ("", address):
        return None
    repository = reference.repository
    if "/" not in repository:
        return f"library/{repository}"
    return repository if repository.startswith((*PLATFORM, f"{project_id}/")) else None


def own(reference: Reference, address: str) -> str:
    """Return the name of an image that the platform makes itself when it is first asked for, "" for any other."""
    ours = reference.host in ("", address) and reference.repository.startswith(_OWN) and reference.version == LATEST
    return reference.repository.removeprefix(_OWN) if ours else ""


def _tagged(path: str) -> tuple[str, str]:
    head, slash, last = path.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{head}{slash}{base}", tag
