# SPDX-License-Identifier: Apache-2.0
"""One step of a plan carried out: as an image found under its key or made, or as a layer of what it produced.

Used by `executor`. Knows no languages: what a step is, its plan says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from typing import IO

from stackyard.drivers.builders import context, host
from stackyard.drivers.builders.engine import BuildNode
from stackyard.drivers.builders.images import Images, Made
from stackyard.drivers.builders.layers import Layer, Overlay
from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.output import TAIL_LINES, Output
from stackyard.drivers.builders.plans import CACHE, PROJECT, VOLUME, Cure, Step
from stackyard.drivers.builders.workroom import RESULT, USER, Ended, Workroom, workroom
from stackyard.model import errors
from stackyard.model.ports import BuildRequest, Log

VERSION = 3  # part of every key: raise it when what was made before is to be made anew
CACHE_MIB = 2048
_SAID = 6
_EXPORTS = f"export HOME=/home/{USER} CI=true"
TAG = "stackyard-deps"
_NO_COMPILER = re.compile(
    r"command '[^']*gcc' failed|gcc: not found|'gcc'|\bcc: not found|make: not found|\bmake: No such file"
    r"|not found: make|gyp ERR!|no acceptable C compiler|can't find header files for ruby"
    r"|You have to install development tools"
)
_UNREACHABLE = re.compile(
    r"Temporary failure in name resolution|Name or service not known|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT"
    r"|no such host|i/o timeout|Could not resolve host|UnknownHostException|Could not transfer artifact"
    r"|Connection (?:refused|timed out)|Network is unreachable|Could not (?:fetch specs|reach host)|403 Forbidden"
)
_REACH = (
    "the package registry could not be reached from the build: let the host reach one, name a mirror in the settings"
    " of its own {tool}, or push the packages with the source (vendored)"
)


@dataclasses.dataclass(frozen=True)
class Shop:
    """What steps of one build share."""

    node: BuildNode
    images: Images
    limits: Limits
    build_files: Mapping[str, str] = dataclasses.field(repr=False)
    request: BuildRequest
    tree: context.Files


@dataclasses.dataclass(frozen=True)
class Work:
    """A step on images of the node: it runs on `stack`; what it makes is laid on `onto`.

    `compiler` brings the stack with a compiler, which few need. `beside` are trees that it is given in folders of
    the build's volume; what they hold is not part of the key, so `step.files` must say which they are.
    """

    shop: Shop
    step: Step
    stack: Made
    onto: Made
    compiler: functools.partial[Made] | None = None
    beside: tuple[tuple[str, context.Files], ...] = ()

    @functools.cached_property
    def key(self) -> str:
        """Return a digest of all that the result depends on."""
        whole = self.shop.tree.digest if self.step.whole_tree else ""
        asked = {k: v for k, v in dataclasses.asdict(self.step).items() if k not in ("subject", "cures")}
        parts = [VERSION, self.stack.id, self.onto.id, list(self.step.files), asked, whole]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]

    def image(self, log: Log, *, publish: bool = True) -> Made:
        """Return the image with the step's result: on the node, in the registry, or made and published."""
        made = self._found(log, publish) or self._made(log)
        if not publish:
            return Made(made, self.onto.mounts)
        reference = self.shop.images.publish(made, self._repository, self.key, self.onto.mounts)
        return Made(made, (self._repository, *self.onto.mounts), reference)

    def layer(self, log: Log) -> Layer:
        """Run the step and return what it produced as a layer."""
        return Layer.of_tar(self.exported(log))

    def exported(self, log: Log) -> IO[bytes]:
        """Run the step and return a tar of what it produced."""
        return self._exported(self.stack.id, log)

    @property
    def _repository(self) -> str:
        return f"{self.shop.request.repository}-deps"

    def _found(self, log: Log, published: bool) -> str | None:
        here = self.shop.node.inspect(f"{TAG}:{self.key}")
        if here:
            log(f"{self.step.subject[:1].upper()}{self.step.subject[1:]} are unchanged\n")
            return str(here["Id"])
        digest = self.shop.images.registry.digest(self._repository, self.key) if published else None
        if digest:
            log(f"Fetching {self.step.subject}\n")
            return self._tagged(self.shop.images.pull(self._repository, digest))
        return None

    def _made(self, log: Log) -> str:
        log(f"Installing {self.step.subject}\n")
        return self._tagged(self._install(log))

    def _tagged(self, image: str) -> str:
        with self.shop.node.errors():
            self.shop.node.api.tag(image, TAG, self.key)
        return image

    def _install(self, log: Log) -> str:
        """Return an image of the container where it ran on what it is laid on; else lay what it produced there."""
        if self.stack.id != self.onto.id:
            return self._laid(self._exported(self.stack.id, log))
        try:
            with self._room(self.stack.id, keeps=True) as room:
                self._run(room, log)
                return room.commit(self._changes())
        except _NoCompilerError:
            if self.compiler is None:
                raise
            log(f"There is no compiler in {self.step.stack}: trying again with one\n")
            return self._laid(self._exported(self.compiler().id, log))

    def _laid(self, tar: IO[bytes]) -> str:
        base = self.shop.images.inspected(self.onto.id)
        labels = {**(base["Config"].get("Labels") or {}), **self._labels()}
        layer = Layer.of_tar(tar)
        try:
            return Overlay(base, [layer], {**base["Config"], "Labels": labels}).loaded(self.shop.node)
        finally:
            layer.close()

    def _exported(self, image: str, log: Log) -> IO[bytes]:
        with self._room(image, keeps=False) as room:
            self._run(room, log)
            return room.result()

    def _labels(self) -> dict[str, str]:
        return {"stackyard.dependencies": self.key, "stackyard.build": self.shop.request.app_id}

    def _changes(self) -> list[str]:
        """Give the image the base's command again: the container ran the step's."""
        config = self.shop.images.inspected(self.onto.id)["Config"]
        words = {"ENTRYPOINT": config.get("Entrypoint") or [], "CMD": config.get("Cmd") or []}
        return [
            *(f"LABEL {name}={json.dumps(value)}" for name, value in self._labels().items()),
            *(f"{key} {json.dumps(value)}" for key, value in words.items()),
        ]

    def _room(self, image: str, *, keeps: bool) -> contextlib.AbstractContextManager[Workroom]:
        shop = self.shop
        name = f"stackyard-deps-{shop.request.app_id[:8]}-{self.key[:16]}"
        return workroom(shop.node, shop.limits, image, name, shop.request.app_id, self._script(keeps))

    def _script(self, keeps: bool) -> str:
        """Return what runs; values of the host come from files, so that no image's history tells them."""
        lines = [
            _EXPORTS,
            host.exports(f"{VOLUME}/host"),
            f"mkdir -p {PROJECT} && cd {self.step.folder} || exit",
            f"(set -e\n{self.step.command}\n)\nstatus=$?\n[ $status = 0 ] || exit $status",
            f"if [ $(du -sm {CACHE} | cut -f1) -gt {CACHE_MIB} ]; then rm -rf {CACHE}/* {CACHE}/.[!.]*; fi",
        ]
        if not keeps:
            leaves = " ".join(f"--exclude={shlex.quote(path.strip('/'))}" for path in self.step.leaves)
            kept = " ".join(shlex.quote(path.strip("/")) for path in self.step.produces)
            owner = "--owner=app:1000 --group=app:1000"
            lines.append(f"tar -C / --sort=name {owner} --mtime=@0 --anchored {leaves} -cf {RESULT} {kept}")
        return "\n".join(lines)

    def _run(self, room: Workroom, log: Log) -> None:
        room.put(
            {f"host/{name}": text for name, text in self.shop.build_files.items()}
            | {f"project/{name}": text for name, text in self.step.files.items()}
        )
        if self.step.whole_tree:
            room.put_tree(self.shop.tree)
        for name, tree in self.beside:
            room.put({f"project/{name}/": ""})
            room.put_tree(tree, f"{PROJECT}/{name}")
        output = Output(log, self.shop.limits.output)
        ended = room.run(output)
        if ended.status:
            raise self._failure(ended, output)

    def _failure(self, ended: Ended, output: Output) -> errors.GiveUp:
        tail, kind = output.memory(), errors.GiveUp
        cure = next((cure for cure in self.step.cures if re.search(cure.pattern, tail)), None)
        known = cure.advice if cure else ""
        if ended.out_of_memory:
            known = f"it ran out of the {self.shop.limits.memory_bytes >> 20} MiB of memory that a build may use"
        elif _NO_COMPILER.search(tail):
            kind = _NoCompilerError
            known = "a package comes as source and can't be compiled here: ask for a version with a wheel or a prebuilt"
            known += " binary, or add a Dockerfile"
        elif not known and _UNREACHABLE.search(tail):
            known = _REACH.format(tool=self.step.tool)
        cause = f"; {known}" if known else ""
        reason = f"{self.step.subject} can't be {self.step.verb} ({self.step.tool} ended with {ended.status}{cause})"
        return kind(f"{reason}\n{_said(tail, cure)}Its output ends:\n{output.tail()}")


def _said(text: str, cure: Cure | None) -> str:
    """Return the first lines in which a tool says what is wrong, where more than its output's end follows them."""
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if cure and re.search(cure.pattern, line)), len(lines))
    return "It said:\n" + "\n".join(lines[at : at + _SAID]) + "\n" if at < len(lines) - TAIL_LINES else ""


class _NoCompilerError(errors.GiveUp):
    """The step failed for want of a compiler."""
