# SPDX-License-Identifier: Apache-2.0
"""Folders as repositories of a real git server on loopback."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: pathlib.Path) -> str:
    """Commit all that is in a folder, which becomes a repository the first time; return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-qm", "sample")
    return git(folder, "rev-parse", "HEAD")


def copied(source: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Return a copy of a folder as a repository."""
    shutil.copytree(source, folder)
    commit(folder)
    return folder


@contextlib.contextmanager
def serving(base: pathlib.Path) -> Iterator[str]:
    """Yield the URL below which all repositories of a folder are served."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    process = subprocess.Popen([*command, f"--base-path={base}", str(base)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
