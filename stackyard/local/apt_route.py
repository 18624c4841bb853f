# SPDX-License-Identifier: Apache-2.0
"""How image builds reach Debian's archives: directly, or by the host's own mirrors where that has failed.

Used by `stackyard.local.images`, one for each run of builds.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import threading
from collections.abc import Callable
from types import TracebackType

import docker
import docker.errors

from stackyard.local import apt_relay
from stackyard.model import errors

UNREACHABLE = re.compile(
    r"Failed to fetch|Unable to (fetch|locate package)|Could not (resolve|connect)|Temporary failure resolving"
    r"|has no installation candidate|apt-get update .*failed",
    re.IGNORECASE,
)


class AptRoute:
    """A context in which steps run; the first that can't reach Debian's servers opens the relay for all."""

    def __init__(self, client: docker.DockerClient) -> None:
        """`client` is of the Engine that builds."""
        self._client = client
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._proxy: str | None = None

    def __enter__(self) -> AptRoute:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, step: Callable[[str | None], None], say: Callable[[str], None]) -> None:
        """Run `step(proxy URL or None)`; once more by the relay when it failed for want of Debian's servers."""
        proxy = self._proxy
        try:
            step(proxy)
        except errors.Unavailable as error:
            if proxy or not UNREACHABLE.search(str(error)) or not self._open():
                raise
            say("Debian's own servers can't be reached: trying the mirrors that this host's apt uses")
            step(self._proxy)

    def _open(self) -> bool:
        """Open the relay where containers of builds reach it; False where the host names no mirror."""
        mirrors = apt_relay.host_mirrors()
        if mirrors.archive is None:
            return False
        with self._lock:
            if self._proxy is None:
                try:
                    self._proxy = self._stack.enter_context(apt_relay.relay(mirrors, self._address()))
                except (OSError, KeyError, IndexError, docker.errors.DockerException):
                    return False
        return True

    def _address(self) -> str:
        """Return this host's address on the network that builds are on; loopback would be the container's own."""
        pool = self._client.api.inspect_network("bridge")["IPAM"]["Config"][0]
        return str(pool.get("Gateway") or ipaddress.ip_network(pool["Subnet"])[1])
