# SPDX-License-Identifier: Apache-2.0
"""Rebasing a release: its images moved to the newest of their stacks, in the registry alone. Called by `builds`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model import errors
from stackyard.model.applications import Deployment, Release, Service
from stackyard.model.ports import Log, Rebaser
from stackyard.store import Transaction


@dataclasses.dataclass(frozen=True)
class Current:
    """The release asked for, and the source archive that it was made of."""

    release: Release
    digest: str


@dataclasses.dataclass(frozen=True)
class Moved:
    """New images by the old, where they are other ones, and what to write beside the release."""

    images: dict[str, str]
    summary: str


def current(tx: Transaction, deployment: Deployment) -> Current:
    """Return what is to be rebased; raises GiveUp before the first release."""
    if deployment.release < 1:
        raise errors.GiveUp("nothing has been released yet; push the application first")
    release = tx.releases.number(deployment.app_id, deployment.release)
    try:
        digest = tx.builds.get(release.build_id or "").observed.digest
    except errors.NotFound:
        digest = ""
    return Current(release, digest)


def moved(rebaser: Rebaser, services: Sequence[Service], log: Log) -> Moved:
    """Rebase the images that were built; raises GiveUp with the reason where that can be done with none."""
    built = {service.image: service.name for service in services if service.build and service.image}
    if not built:
        raise errors.GiveUp("the application has prebuilt images only, which are on no stack of ours")
    done: dict[str, str] = {}
    stacks: list[str] = []
    refused: list[errors.GiveUp] = []
    for image, name in built.items():
        try:
            rebased = rebaser.rebase(image)
        except errors.GiveUp as error:
            refused.append(error)
            log(f"service {name} stays as it is: {error}\n")
            continue
        if rebased.image != image:
            done[image] = rebased.image
            stacks.append(rebased.stack)
            log(f"service {name} is on {rebased.stack} now\n")
    if refused and len(refused) == len(built):
        raise refused[0]
    return Moved(done, f"rebased on {', '.join(dict.fromkeys(stacks))}")
