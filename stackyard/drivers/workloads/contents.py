# SPDX-License-Identifier: Apache-2.0
"""What volumes hold, in and out of them by the node's engine: implements the port Contents; called by backups.

The engine reads and writes the file system of any container as a tar archive, mounted volumes included, also of one
that was never started (Engine API, ContainerArchive and PutContainerArchive); so nothing of it has to be in an image.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Sequence

import requests

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import labelled
from stackyard.drivers.workloads.jobs import begun, engine_of, name_of
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, Stream

PIECE = 1 << 20
IDLE_SECONDS = 120.0
"""An engine may look for the next piece of an archive, or write the last one of it to its disk, for so long."""
END = bytes(1024)
"""What every tar archive ends with (POSIX ustar: two blocks of zeros)."""
FULL = "no space left"


class SwarmContents:
    """Contents of volumes on nodes whose engines are reached with mutual TLS."""

    def unload(self, access: ClusterAccess, node: str, job_id: str, folder: str) -> Iterator[bytes]:
        """Yield a tar archive of a folder of the job's container, which need not run."""
        engine, last = engine_of(access, node), b""
        path = f"/containers/{name_of(job_id)}/archive?{urllib.parse.urlencode({'path': folder})}"
        with engine.stream("GET", path, idle=IDLE_SECONDS) as answer:
            try:
                for piece in answer.iter_content(PIECE):
                    last = (last + piece)[-len(END) :]
                    yield piece
            except requests.RequestException as error:
                raise engine.unavailable(error) from error
        # An engine that can't read on ends the archive as if it were whole, but for its end.
        if last != END:
            raise errors.Unavailable(f"the engine of {node} broke the archive of {folder} off")

    def load(self, access: ClusterAccess, node: str, job_id: str, content: Iterator[bytes]) -> None:
        """Unpack a tar archive at the top of the job's container, with its owners and modes."""
        try:
            engine_of(access, node).unpack(name_of(job_id), content, IDLE_SECONDS)
        except errors.Unavailable as error:
            if FULL in str(error):
                raise errors.GiveUp(f"there is no room for it on {node}") from error
            raise

    def enter(self, access: ClusterAccess, node: str, job_id: str, command: Sequence[str]) -> Stream:
        """Begin a command in a job's running container; raises NotFound, Conflict when that does not run."""
        return begun(engine_of(access, node), name_of(job_id), command)

    def forget(self, access: ClusterAccess, node: str, app_id: str, ending: str) -> None:
        """Remove those of the application's volumes on the node whose names end so."""
        engine = engine_of(access, node)
        for volume in engine.get("/volumes", filters=labelled(f"{spec.APP}={app_id}")).get("Volumes") or ():
            if volume["Name"].endswith(ending):
                engine.delete(f"/volumes/{volume['Name']}", force=1)
