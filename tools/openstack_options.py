# SPDX-License-Identifier: Apache-2.0
"""Brings `packages/*/options` to what the programs in the image `stackyard/openstack` tell of their options.

Run as `python -m tools.openstack_options` whenever that image has another release of OpenStack; a test compares both.
"""

from __future__ import annotations

import io
import pathlib
import tarfile

import docker

IMAGE = "stackyard/openstack"
PROGRAM = pathlib.Path(__file__).with_name("options_of_openstack.py")
MADE = "/tmp/options"
SECONDS = 600
PACKAGES = pathlib.Path(__file__).resolve().parents[1] / "packages"


def of_image(client: docker.DockerClient, name: str = "stackyard-options") -> dict[str, str]:
    """Return what the image's programs tell, as texts of files by name; `name` is that of a container meanwhile."""
    container = client.containers.create(
        IMAGE, ["python3", "-W", "ignore", f"/{PROGRAM.name}"], name=name, network_mode="none"
    )
    try:
        container.put_archive("/", _archive(PROGRAM))
        container.start()
        if container.wait(timeout=SECONDS)["StatusCode"]:
            raise SystemExit(container.logs().decode(errors="replace"))
        stream, _ = container.get_archive(MADE)
        return _texts(b"".join(stream))
    finally:
        container.remove(force=True)


def _archive(file: pathlib.Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(file, file.name)
    return buffer.getvalue()


def _texts(data: bytes) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if file := archive.extractfile(member):
                found[pathlib.PurePath(member.name).name] = file.read().decode()
    return found


def main() -> None:
    """Write the files that packages have anew."""
    found = of_image(docker.from_env())
    for file in sorted(PACKAGES.glob("*/options/*.json")):
        file.write_text(found[file.name])
        print(f"{file.relative_to(PACKAGES)}: {len(found[file.name])} bytes")


if __name__ == "__main__":
    main()
