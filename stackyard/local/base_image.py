# SPDX-License-Identifier: Apache-2.0
"""The images that all others come from: pulled where a registry answers, else bootstrapped from Debian packages.

Called by `stackyard.local.images` only.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from typing import IO

import docker
import docker.errors
import requests

from stackyard.drivers.engines.failures import words
from stackyard.local import host
from stackyard.model import errors

Say = Callable[[str], None]

PULL_SECONDS = 8
LABEL = "stackyard.recipe"
UPSTREAM = re.compile(r"^FROM ([a-z]+):([a-z-]+)$", re.MULTILINE)


def pulled(client: docker.DockerClient, dockerfile: pathlib.Path, say: Say) -> bool:
    """Pull Debian's official image that a Dockerfile is FROM; False where no registry answers within seconds."""
    upstream = UPSTREAM.search(dockerfile.read_text())
    if upstream is None:
        raise errors.Unavailable(f"{dockerfile} is FROM no image of Debian's")
    signs: queue.Queue[str] = queue.Queue()
    # In a thread of its own, because an Engine behind a silent firewall takes minutes to say that it can't.
    threading.Thread(target=_pull, args=(client, upstream[1], upstream[2], signs), daemon=True).start()
    try:
        sign = signs.get(timeout=PULL_SECONDS)
        while sign == "coming":
            sign = signs.get()
        if sign == "whole":
            say(f"pulled {upstream[1]}:{upstream[2]}")
            return True
    except queue.Empty:
        pass
    say("no image registry answers: bootstrapping from Debian packages")
    return False


def _pull(client: docker.DockerClient, name: str, tag: str, signs: queue.Queue[str]) -> None:
    try:
        for answer in client.api.pull(name, tag=tag, stream=True, decode=True):
            if "error" in answer:
                raise docker.errors.DockerException(answer["error"])
            signs.put("coming")
        signs.put("whole")
    except (docker.errors.DockerException, requests.RequestException):
        signs.put("failed")


def bootstrap(
    client: docker.DockerClient, script: pathlib.Path, reference: str, say: Say, proxy: str | None = None
) -> None:
    """Run the recipe's mmdebstrap script (by the HTTP proxy) and import its archive as `reference`."""
    name, _, tag = reference.partition(":")
    host.apt_install(["mmdebstrap", "debian-archive-keyring"], ["mmdebstrap"], say)
    say("mmdebstrap: downloading and unpacking packages")
    with tempfile.TemporaryFile() as log:
        process = _process(script, log, proxy)
        image, refusal = _import(client, process, name.rpartition("/")[2])
        if process.returncode or image is None:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()
            _forget(client, image)
            raise failure(client, name, refusal or f"{script.name} ended with {process.returncode}", lines)
    # The name comes last: an archive that was cut short may have an image id, but never a name.
    client.api.tag(image, name, tag)


def _process(script: pathlib.Path, log: IO[bytes], proxy: str | None) -> subprocess.Popen[bytes]:
    """Start mmdebstrap among mounts of its own, so that a kill leaves none behind."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 and shutil.which("unshare", path=host.path()) else []
    return subprocess.Popen(
        [*unshare, "sh", str(script)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=os.environ | {"PATH": host.path()} | ({"http_proxy": proxy} if proxy else {}),
        start_new_session=True,
    )


def _import(client: docker.DockerClient, process: subprocess.Popen[bytes], label: str) -> tuple[str | None, str]:
    """Return (id of the image made from the process's output and labelled, what the Engine had against it)."""
    assert process.stdout is not None
    pieces = iter(functools.partial(process.stdout.read, 1 << 17), b"")
    changes = [f"LABEL {LABEL}={label}", 'CMD ["/bin/sh"]']
    try:
        answer = client.api.import_image_from_stream(pieces, changes=changes)
        status = json.loads(answer.splitlines()[-1])
        return status.get("status"), status.get("error", "")
    except (docker.errors.DockerException, requests.RequestException) as error:
        return None, words(error)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the process, whose output nobody reads any more; its own clean-up needs a moment."""
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _forget(client: docker.DockerClient, image: str | None) -> None:
    if image is not None:
        with contextlib.suppress(docker.errors.APIError):
            client.api.remove_image(image, force=True)


def failure(client: docker.DockerClient, name: str, cause: str, log: Iterable[str]) -> errors.Unavailable:
    """Return the error that tells why an image was not made, with the end of the log."""
    end = "\n".join(list(log)[-20:])
    if "no space left on device" in f"{cause}\n{end}".lower():
        root = client.api.info().get("DockerRootDir", "the Engine's folder")
        cause = f"no space is left on the disk of {root}; free some (docker system prune) and try again"
    return errors.Unavailable(f"image {name} was not built: {cause}\n{end}")
