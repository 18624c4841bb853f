# SPDX-License-Identifier: Apache-2.0
"""The container in which one step of a build runs: limited, with the host's settings in a volume, gone afterwards.

Used by `steps`. Knows no languages.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, cast

import docker.errors
import docker.types

from stackyard.drivers.builders import context
from stackyard.drivers.builders.engine import BuildNode
from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.output import Output
from stackyard.drivers.builders.plans import APP, CACHE, PROJECT, VOLUME
from stackyard.drivers.engines.frames import contents
from stackyard.model import errors

USER, UID = "app", 1000  # as the images of language stacks have them
RESULT = f"{VOLUME}/result.tar"
APP_LABEL = "stackyard.app"
"""On the volume with an application's caches, so that it goes with the application's own volumes."""
_SPOOL = 32 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, and whether the memory limit ended it."""

    status: int
    out_of_memory: bool


class Workroom:
    """A container that is not started yet; `script` runs in it once."""

    def __init__(self, node: BuildNode, id: str, limits: Limits) -> None:
        self.node = node
        self.id = id
        self._limits = limits

    def put(self, texts: Mapping[str, str]) -> None:
        """Write texts into the build's volume, by path within it, and give it and the cache to the user.

        A path that ends with a slash is a folder.
        """
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for folder in (VOLUME, f"{VOLUME}/host", PROJECT, CACHE):
                tar.addfile(_folder(folder.strip("/")))
            for name, text in texts.items():
                if name.endswith("/"):
                    tar.addfile(_folder(f"{VOLUME.strip('/')}/{name.strip('/')}"))
                    continue
                content = text.encode()
                entry = tarfile.TarInfo(f"{VOLUME.strip('/')}/{name}")
                entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o644, UID, UID
                tar.addfile(entry, io.BytesIO(content))
        with self.node.errors():
            self.node.api.put_archive(self.id, "/", stream.getvalue())

    def put_tree(self, tree: context.Files, folder: str = APP) -> None:
        """Write files into a folder that is there, by default the application's."""
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                context.add(tar, tree.folder, tree.names, owner=UID)
            stream.seek(0)
            with self.node.errors():
                self.node.patient.put_archive(self.id, folder, stream)

    def run(self, output: Output) -> Ended:
        """Run to the end; the deadline and a flood of output kill it (GiveUp)."""
        api = self.node.patient
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with self.node.errors(), self._attached() as pieces:
            api.start(self.id)
            with self.node.deadline.cutting(self._kill):
                for piece in pieces:
                    output.write(decode(piece))
                output.finish()
                status = int(api.wait(self.id)["StatusCode"])
                state = api.inspect_container(self.id)["State"]
        return Ended(status, status == 137 or bool(state["OOMKilled"]))

    @contextlib.contextmanager
    def _attached(self) -> Iterator[Iterator[bytes]]:
        """Give what the container writes, kept nowhere on the node: what writes without end waits for us to read."""
        api = self.node.patient
        url = f"{api.base_url}/v{api.api_version}/containers/{self.id}/attach"
        answer = api.post(url, params={"stream": 1, "stdout": 1, "stderr": 1}, stream=True)
        with contextlib.closing(answer):
            answer.raise_for_status()
            yield contents(answer.raw)

    def commit(self, changes: Sequence[str]) -> str:
        """Return an image of what the container has become; volumes are no part of it."""
        with self.node.errors():
            return str(self.node.patient.commit(self.id, changes=list(changes))["Id"])

    def result(self) -> IO[bytes]:
        """Return the tar that the script left at RESULT; raises GiveUp when it is larger than allowed."""
        api = self.node.patient
        url = f"{api.base_url}/v{api.api_version}/containers/{self.id}/archive"
        with self.node.errors():
            answer = api.get(url, params={"path": RESULT}, stream=True, headers={"Accept-Encoding": "identity"})
            # Closed at once when it is refused: the engine removes no container that it still reads from.
            with contextlib.closing(answer):
                answer.raise_for_status()
                with tarfile.open(fileobj=cast(Any, answer.raw), mode="r|") as outer:
                    return self._spooled(outer)

    def _spooled(self, outer: tarfile.TarFile) -> IO[bytes]:
        entry = outer.next()
        content = outer.extractfile(entry) if entry else None
        if entry is None or content is None:
            raise errors.GiveUp("the build left no result")
        if entry.size > self._limits.layer_bytes:
            made, allowed = entry.size >> 20, self._limits.layer_bytes >> 20
            raise errors.GiveUp(
                f"the build made {made} MiB of files, more than the {allowed} MiB allowed;"
                " remove what the application does not need to run"
            )
        spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115  (closed by its layer)
        shutil.copyfileobj(content, spool, _CHUNK)
        return cast(IO[bytes], spool)

    def _kill(self) -> None:
        with contextlib.suppress(errors.StackyardError, docker.errors.APIError):
            self.node.api.kill(self.id)


@contextlib.contextmanager
def workroom(node: BuildNode, limits: Limits, image: str, name: str, app_id: str, script: str) -> Iterator[Workroom]:
    """Yield a fresh container of this name; what a killed attempt left under it goes first."""
    _remove(node, name)
    with node.errors():
        _cache(node, app_id)
        made = node.api.create_container(
            image,
            entrypoint=["/bin/sh", "-c"],
            command=[script],
            user=USER,
            name=name,
            labels={"stackyard.build": app_id},
            host_config=node.api.create_host_config(
                mounts=[
                    docker.types.Mount(VOLUME, None, type="volume"),
                    docker.types.Mount(CACHE, _cache_name(app_id), type="volume"),
                ],
                security_opt=["no-new-privileges"],
                cap_drop=["ALL"],
                init=False,
                log_config=docker.types.LogConfig(type="none"),
                **limits.of_container(),
            ),
        )
    try:
        yield Workroom(node, made["Id"], limits)
    finally:
        _remove(node, name)


def _cache_name(app_id: str) -> str:
    return f"stackyard-cache-{app_id}"


def _cache(node: BuildNode, app_id: str) -> None:
    node.api.create_volume(_cache_name(app_id), labels={APP_LABEL: app_id})


def _remove(node: BuildNode, name: str) -> None:
    with node.errors(), contextlib.suppress(docker.errors.NotFound):
        node.api.remove_container(name, v=True, force=True)


def _folder(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, UID, UID
    return entry
