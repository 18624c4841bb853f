# SPDX-License-Identifier: Apache-2.0
"""One service of a Compose file. Called by `compose`; does no I/O but through the function it is given.

Every way in which it may be wrong raises BadInput that names the place, the cause and the cure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from stackyard.drivers.builders import (
    backups,
    buildpacks,
    configs,
    groups,
    quantities,
    registries,
    stages,
)
from stackyard.drivers.builders.environment import env_files, pairs
from stackyard.drivers.builders.health import health
from stackyard.drivers.builders.mounts import mounts
from stackyard.drivers.builders.names import domains
from stackyard.drivers.builders.ports import target_port
from stackyard.drivers.builders.words import split
from stackyard.model import errors
from stackyard.model.applications import BuildSpec, HealthCheck, Service, Stage

ReadFile = Callable[[str], str]
"""Takes a path within the source tree and returns its text; raises BadInput when there is none."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9]+[a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?")
_RESTARTS = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
_CONDITIONS = ("service_started", "service_healthy")
_MIN_MEMORY = 6 * 1024**2


class ServiceReader:
    """Reads one service."""

    def __init__(self, name: str, asked: dict[str, Any], read: ReadFile, packs: tuple[str, ...] = ()) -> None:
        """`packs` are the buildpacks of all services that name none."""
        self.name = name
        self.packs = named_buildpacks(asked, self._at("x-stackyard")) or packs
        self.asked = {
            key: value for key, value in asked.items() if value is not None or key in ("command", "entrypoint")
        }
        self.read = read

    def service(self) -> Service:
        """Return the service; raises BadInput."""
        if not _LABEL.fullmatch(self.name):
            raise errors.BadInput(
                f"service name {self.name!r} must be a DNS label, because services reach each other by it:"
                " small letters, digits and hyphens, at most 63"
            )
        self._check_restart()
        build = self._build()
        own = self.asked.get("x-stackyard") or {}
        stage, schedule = stages.stage(own, self.name)
        group = groups.group(own, self.name)
        port = target_port(self.asked.get("ports", []), self._at("ports")) if group is None else None
        return Service(
            name=self.name,
            image=None if build else self._image(),
            build=build,
            command=self._words("command"),
            entrypoint=self._words("entrypoint"),
            environment=self._environment(),
            port=port if stage is Stage.RUN else None,
            mounts=mounts(self.asked.get("volumes", []), self._at("volumes")),
            depends_on=self._depends_on(),
            healthcheck=health(own.get("health"), self._healthcheck(), self.name),
            replicas=self._replicas(),
            working_dir=self.asked.get("working_dir"),
            user=str(self.asked["user"]) if "user" in self.asked else None,
            stop_grace=self._seconds(self.asked, "stop_grace_period", 10.0),
            cpus=self._cpus(),
            memory_bytes=self._memory(),
            stage=stage,
            schedule=schedule,
            domains=domains(own.get("domains"), self.name, listens=bool(port) and stage is Stage.RUN),
            files=configs.mounts(self.asked, f"service {self.name!r}"),
            again=stages.again(own, stage, self.name),
            group=group,
            labels=registries.labels(self.asked.get("labels"), self._at("labels")),
            backup=backups.rule(own, self.name),
        )

    def _at(self, key: str) -> str:
        return f"{key} of service {self.name!r}"

    def _build(self) -> BuildSpec | None:
        if "build" not in self.asked:
            return None
        asked = self.asked["build"]
        asked = {"context": asked} if isinstance(asked, str) else asked
        context = _inside(asked.get("context", "."), self._at("build.context"))
        dockerfile = asked.get("dockerfile")
        if dockerfile is not None:
            dockerfile = _inside(dockerfile, self._at("build.dockerfile"))
        arguments = pairs(asked.get("args"), self._at("build.args"))
        packs = self.packs if dockerfile is None else ()
        return BuildSpec(context, dockerfile, arguments, asked.get("target"), buildpacks=packs)

    def _image(self) -> str:
        image = self.asked.get("image")
        if image is None:
            raise errors.BadInput(f"service {self.name!r} has neither image nor build; give it one of them")
        if not _IMAGE.fullmatch(image) or len(image) > 255:
            raise errors.BadInput(f"{self._at('image')}: {image!r} is no image name; write for example redis:7")
        return str(image)

    def _words(self, key: str) -> tuple[str, ...] | None:
        """Return an argument vector: a string is split as a shell would split it, but is run without one."""
        asked = self.asked.get(key)
        if asked is None:
            return None
        return tuple(asked if isinstance(asked, list) else split(asked, self._at(key)))

    def _environment(self) -> dict[str, str]:
        files = env_files(self.asked.get("env_file", []), self._at("env_file"), self.read)
        return {**files, **pairs(self.asked.get("environment"), self._at("environment"))}

    def _depends_on(self) -> tuple[str, ...]:
        asked = self.asked.get("depends_on", [])
        for name, details in asked.items() if isinstance(asked, dict) else ():
            condition = (details or {}).get("condition", "service_started")
            if condition not in _CONDITIONS:
                raise errors.BadInput(
                    f"{self._at('depends_on')}: unsupported condition {condition!r} for {name!r};"
                    f" use {' or '.join(_CONDITIONS)}"
                )
        return tuple(dict.fromkeys(asked))

    def _healthcheck(self) -> HealthCheck | None:
        asked = self.asked.get("healthcheck")
        if asked is None:
            return None
        test = asked.get("test", ())
        test = ("CMD-SHELL", test) if isinstance(test, str) and test else tuple(test)
        if asked.get("disable") or test[:1] == ("NONE",):
            return HealthCheck(disabled=True)
        if test and (test[0] not in ("CMD", "CMD-SHELL") or len(test) < 2):
            raise errors.BadInput(
                f"{self._at('healthcheck.test')} must begin with NONE, CMD or CMD-SHELL and name a command"
            )
        return HealthCheck(
            test=test,
            interval=self._seconds(asked, "interval", 30.0),
            timeout=self._seconds(asked, "timeout", 30.0),
            retries=int(asked.get("retries", 3)),
            start_period=self._seconds(asked, "start_period", 0.0),
        )

    def _seconds(self, asked: Mapping[str, Any], key: str, default: float) -> float:
        return quantities.seconds(asked[key], self._at(key)) if key in asked else default

    def _replicas(self) -> int:
        deploy = self.asked.get("deploy") or {}
        if deploy.get("mode", "replicated") != "replicated":
            raise errors.BadInput(
                f"unsupported deploy.mode {deploy['mode']!r} in service {self.name!r}; use replicated"
            )
        counts = {int(count) for count in (self.asked.get("scale"), deploy.get("replicas")) if count is not None}
        if len(counts) > 1:
            raise errors.BadInput(f"service {self.name!r} has both scale and deploy.replicas, with different numbers")
        return counts.pop() if counts else 1

    def _limits(self) -> dict[str, Any]:
        deploy = self.asked.get("deploy") or {}
        return (deploy.get("resources") or {}).get("limits") or {}

    def _cpus(self) -> float | None:
        asked = self._limits().get("cpus", self.asked.get("cpus"))
        if asked is None:
            return None
        try:
            cpus = float(asked)
        except ValueError:
            cpus = 0.0
        if not 0.01 <= cpus <= 1024:
            raise errors.BadInput(f'{self._at("cpus")}: {str(asked)!r} is no number of cores; write for example "0.5"')
        return cpus

    def _memory(self) -> int | None:
        asked = self._limits().get("memory", self.asked.get("mem_limit"))
        if asked is None:
            return None
        memory = quantities.size(asked, self._at("memory"))
        if memory < _MIN_MEMORY:
            raise errors.BadInput(f"{self._at('memory')}: {str(asked)!r} is less than 6m, the least an engine allows")
        return memory

    def _check_restart(self) -> None:
        asked = self.asked.get("restart", "always")
        if not _RESTARTS.fullmatch(asked):
            words = "no, always, on-failure or unless-stopped"
            raise errors.BadInput(f"{self._at('restart')} must be {words}, not {asked!r}")


def named_buildpacks(asked: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the third-party buildpacks that an `x-stackyard` mapping names."""
    own = asked.get("x-stackyard")
    found = own.get("buildpacks") if isinstance(own, dict) else None
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise errors.BadInput(f"{where}: buildpacks must be a list of git URLs")
    return buildpacks.names(found, f"{where}: buildpacks")


def _inside(path: str, where: str) -> str:
    """Return a normal relative path; refuse addresses and what lies outside the source tree."""
    if "://" in path or path.startswith("git@"):
        raise errors.BadInput(f"{where}: {path!r} is remote; build from a folder of the source tree")
    normal = posixpath.normpath(path)
    if not path or normal.startswith(("/", "~")) or normal.split("/")[0] == "..":
        raise errors.BadInput(f"{where}: {path!r} is not within the source tree; use a path relative to its top")
    return normal
