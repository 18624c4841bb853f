# SPDX-License-Identifier: Apache-2.0
"""Microversions (OpenStack API-SIG): which version a request asks for, and what the answer's headers say.

    OpenStack-API-Version: container-infra 1.9

A request without the header gets the lowest. Called by the dispatcher for families that have versions.
"""

from __future__ import annotations

import dataclasses
import re

from stackyard.api.faults import Fault

Version = tuple[int, int]
LOWEST: Version = (1, 1)
HEADER = "OpenStack-API-Version"
_NUMBER = re.compile(r"(-?[0-9]{1,4})\.([0-9]{1,4})")


@dataclasses.dataclass(frozen=True)
class Range:
    """The versions of a family and the names of its service; the first name is used in answers."""

    services: tuple[str, ...]
    lowest: Version
    highest: Version

    def negotiate(self, header: str | None) -> Version | Fault:
        """Return the version asked for, or the fault that says what is wrong with the header."""
        if header is None or not header.strip():
            return self.lowest
        service, _, wanted = header.strip().partition(" ")
        if service.lower() not in self.services:
            return Fault(406, f"Invalid service type for {HEADER} header")
        if wanted.strip().lower() == "latest":
            return self.highest
        return self._number(wanted.strip())

    def _number(self, wanted: str) -> Version | Fault:
        match = _NUMBER.fullmatch(wanted)
        if not match:
            return Fault(406, f"Invalid value for {HEADER} header")
        version = int(match[1]), int(match[2])
        if self.lowest <= version <= self.highest:
            return version
        low, high = text(self.lowest), text(self.highest)
        message = f"Version {text(version)} was requested but the minor version must be between {low} and {high}"
        return Fault(406, message, versions=(low, high))

    def headers(self, version: Version) -> dict[str, str]:
        """Return the headers that tell which version answered, and which there are."""
        name = self.services[0]
        return {
            HEADER: f"{name} {text(version)}",
            "OpenStack-API-Minimum-Version": f"{name} {text(self.lowest)}",
            "OpenStack-API-Maximum-Version": f"{name} {text(self.highest)}",
            "Vary": HEADER,
        }


def text(version: Version) -> str:
    """Return a version as it is written: `1.9`."""
    return f"{version[0]}.{version[1]}"
