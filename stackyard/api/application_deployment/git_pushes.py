# SPDX-License-Identifier: Apache-2.0
"""What a `git push` leads to: of the branch that deploys, a build and a release, told line by line; of others, nothing.

Called by `git`. The verdict is git's: refs are changed only when the build has ended well, as at Heroku. The build is
an ordinary push that goes on whoever listens.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence

from stackyard.api.application_deployment import views
from stackyard.api.call import Call
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION
from stackyard.model.builds import PHASES, Build, BuildObserved, Source, Step
from stackyard.model.phase import FAILED, IN_PROGRESS
from stackyard.model.ports import Log, Pushed, RefUpdate

HEADS = "refs/heads/"
DEPLOYING = ("main", "master")
SLASH = "~"
"""Stands for `/` of a branch's name in the address of a remote; git allows it in no name."""
STORED = ("refs/heads/", "refs/tags/")
LOOK_SECONDS = 0.1
LONGEST_LINE = 1000
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_STYLES = {"✓": "32", "✗": "31;1", "→": "36", "!": "33"}


def judge(call: Call) -> Callable[[Pushed], bool]:
    """Return what decides about a push of this call's."""

    def decide(pushed: Pushed) -> bool:
        say = _Words(pushed.tell, coloured=pushed.terminal)
        chosen = _deploying(pushed.updates, Remote.of(call))
        for update in pushed.updates:
            if update is not chosen and update.new:
                say.line(f"{_short(update.ref)} is stored; only a push to main (or master) deploys", "!")
        return chosen is None or _Deploy(call, pushed, say).run(chosen)

    return decide


@dataclasses.dataclass(frozen=True)
class Remote:
    """What an address says: the environment, and the branches that deploy there.

    A `strict` one (it names an environment or a branch) takes nothing else; the application's own stores the rest.
    """

    environment: str = PRODUCTION
    branches: tuple[str, ...] = DEPLOYING
    strict: bool = False

    @classmethod
    def of(cls, call: Call) -> Remote:
        """Return the remote that a request is for."""
        environment, branch = call.args.get("environment"), call.args.get("branch")
        branches = (branch.replace(SLASH, "/"),) if branch else DEPLOYING
        return cls(environment or PRODUCTION, branches, strict=environment is not None)


def _deploying(updates: Sequence[RefUpdate], remote: Remote) -> RefUpdate | None:
    """Return the update that deploys, if any does; raises BadInput for what can't be taken."""
    deploying = [HEADS + branch for branch in remote.branches]
    for update in updates:
        if not update.ref.startswith(STORED):
            raise errors.BadInput(f"{update.ref} can't be pushed here; push a branch or a tag")
        if remote.strict and update.ref not in deploying:
            raise errors.BadInput(
                f"{_short(update.ref)} can't be pushed here: {remote.environment} is deployed from"
                f" {' or '.join(remote.branches)}; push to that (git push REMOTE {_short(update.ref)}:"
                f"{remote.branches[0]}), or name another branch: stackyard git-remote APP --env"
                f" {remote.environment} --branch BRANCH"
            )
    found = [update for update in updates if update.ref in deploying]
    if len(found) > 1:
        raise errors.BadInput("main and master can't be pushed at once; push the one to deploy")
    if found and not found[0].new:
        raise errors.BadInput(
            f"{_short(found[0].ref)} can't be deleted: it is what is deployed; 'stackyard destroy' ends an application"
        )
    return found[0] if found else None


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/")


class _Words:
    """Lines for the client, coloured where a person watches."""

    def __init__(self, tell: Log, *, coloured: bool) -> None:
        self._tell = tell
        self._coloured = coloured

    def line(self, text: str, mark: str = "") -> None:
        """Tell one line under a mark."""
        if mark and self._coloured:
            mark = f"\x1b[{_STYLES.get(mark, '0')}m{mark}\x1b[0m"
        self._tell(f"{mark} {text}" if mark else text)

    def output(self, text: str) -> None:
        """Tell a line of the build's output."""
        clean = _CONTROL.sub("", text.rstrip("\r").rpartition("\r")[2])[:LONGEST_LINE]
        bar = "\x1b[2m│\x1b[0m" if self._coloured else "│"
        self._tell(f"  {bar} {clean}")


class _Deploy:
    """One commit on its way from a push to a release."""

    def __init__(self, call: Call, pushed: Pushed, say: _Words) -> None:
        self._call = call
        self._intents = call.services.intents
        self._pushed = pushed
        self._say = say
        self._environment = Remote.of(call).environment
        self._began = time.monotonic()
        self._told: set[str] = set()
        self._heard = 0
        self._pending = ""

    def run(self, update: RefUpdate) -> bool:
        """Return whether the commit serves now."""
        digest = self._pushed.archive(update.new, self._note)
        to = "" if self._environment == PRODUCTION else f" for {self._environment}"
        self._say.line(f"receive  {self._spent():6.1f} s  commit {update.new[:12]} of {_short(update.ref)}{to}", "✓")
        wanted = Source(digest=digest, revision=update.new)
        same = self._intents.builds.unchanged(self._call.target, wanted, self._environment)
        if same:
            self._say.line(f"nothing changed; release {same.observed.release} serves", "✓")
            self._tell_end(same)
            return True
        build = self._intents.builds.push(self._call.caller, self._call.target.id, wanted, self._environment)
        name = self._call.target.name
        self._say.line(f"push {build.number} of {name}; it goes on without you: 'stackyard builds {name}'", "→")
        return self._follow(build)

    def _note(self, text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            self._say.output(line)

    def _follow(self, build: Build) -> bool:
        while True:
            # The record is read before the log: once it has ended, the log read after it is whole.
            build = self._intents.builds.find(self._call.target, build.id)
            self._tell_output(build)
            self._tell_phases(build.observed)
            if build.phase not in IN_PROGRESS:
                return self._ended(build)
            time.sleep(LOOK_SECONDS)

    def _tell_output(self, build: Build) -> None:
        pieces, _ = self._intents.builds.output(build, self._heard)
        for number, text in pieces:
            self._heard = number + 1
            *lines, self._pending = (self._pending + text).split("\n")
            for line in lines:
                self._say.output(line)

    def _tell_phases(self, observed: BuildObserved) -> None:
        for name, seconds in finished(observed):
            if name not in self._told:
                self._told.add(name)
                self._say.line(f"{name:<8} {seconds:6.1f} s", "✓")

    def _ended(self, build: Build) -> bool:
        if build.phase in FAILED:
            serving = self._serving()
            still = f"release {serving} goes on serving" if serving else "nothing is served yet"
            self._say.line(f"push failed: {build.status_reason or 'no reason given'}; {still}", "✗")
            return False
        self._tell_end(build)
        return True

    def _serving(self) -> int:
        deployment = self._intents.deployments.of(self._call.target, self._environment)
        return max(0, deployment.serving) if deployment else 0

    def _tell_end(self, build: Build) -> None:
        progress = self._intents.applications.progress([self._call.target], self._environment)
        url = views.address(self._call, self._call.target, progress.releases.get(self._call.target.id))
        self._say.line("")
        self._say.line(f"Release: {build.observed.release}")
        for name, image in sorted(build.observed.images.items()):
            self._say.line(f"Image: {name} {image.partition('@')[2] or image}")
        self._say.line(f"Seconds: {self._spent():.1f}")
        self._say.line(f"URL: {url or 'none (no service publishes a port)'}")

    def _spent(self) -> float:
        return time.monotonic() - self._began


def finished(observed: BuildObserved) -> Iterator[tuple[str, float]]:
    """Yield the phases that lie behind a build, with their seconds."""
    order = list(Step)
    for phase, step in PHASES.items():
        if phase != "fetch" and phase in observed.seconds and order.index(step) < order.index(observed.step):
            yield phase, observed.seconds[phase]
