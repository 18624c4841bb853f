# SPDX-License-Identifier: Apache-2.0
"""Images of the platform's own made when the first application needs one: `python -m stackyard.local.stacks NAME`.

They are language stacks, and services that Compose files name, such as `stackyard/mariadb`.

Run by workers through the builder's `stacks`; `stackyard up` brings those in use up to date. May be killed at any
moment: an image appears when it is whole, and the next run finds what was made.
"""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import sys
from collections.abc import Iterator

import docker
import docker.errors
from oslo_config import cfg

from stackyard import assembly, conf
from stackyard.drivers.registries.distribution import DistributionRegistry
from stackyard.local import images, recipes, registry
from stackyard.model import errors

NAMES = (
    *("python", "python-build", "nodejs", "nodejs-build", "static", "run", "go"),
    *("java", "java-build", "ruby", "ruby-build", "php", "php-build"),
    *("buildpack", "buildpack-build"),
    *("consul", "haproxy", "identity", "mariadb", "memcached", "openstack", "openstack-source", "rabbitmq"),
)


def ensure(options: cfg.ConfigOpts, name: str, on_progress: images.Progress) -> None:
    """Have a stack in the platform's registry as `stackyard/<name>:latest`; raises NotFound, Unavailable."""
    if name not in NAMES:
        raise errors.NotFound(f"there is no image {name!r} for applications; there are: {', '.join(NAMES)}")
    client = _client(options)
    with _alone(pathlib.Path(options.state_dir), name):
        built = images.build(client, [name], on_progress)
        reference = f"{recipes.PREFIX}/{name}:{images.LATEST}"
        if registry.publish(client, _registry(client, options), options.registry.port, built[name], reference):
            on_progress(name, "published in the platform's registry")


def refresh(options: cfg.ConfigOpts, on_progress: images.Progress) -> None:
    """Make those stacks anew that are in the registry and whose recipe has changed."""
    there = _registry(_client(options), options)
    for name in NAMES:
        if there.digest(f"{recipes.PREFIX}/{name}", images.LATEST):
            ensure(options, name, on_progress)


def _client(options: cfg.ConfigOpts) -> docker.DockerClient:
    try:
        return docker.DockerClient(base_url=options.engine_url, version="auto", timeout=600)
    except docker.errors.DockerException as error:
        raise errors.Unavailable(f"no Docker Engine answers at {options.engine_url}: {error}") from None


def _registry(client: docker.DockerClient, options: cfg.ConfigOpts) -> DistributionRegistry:
    return DistributionRegistry(client, options.instance, pathlib.Path(options.state_dir), options.registry.port)


@contextlib.contextmanager
def _alone(folder: pathlib.Path, name: str) -> Iterator[None]:
    """Hold the stack's lock: a second worker waits, then finds the stack made."""
    with (folder / f"stack-{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Make the stack that is named; the output is for the log of the build that waits for it."""
    try:
        ensure(conf.load(assembly.config_file()), arguments[0], lambda name, line: print(f"{name}: {line}", flush=True))
    except errors.StackyardError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
