# SPDX-License-Identifier: Apache-2.0
"""What a source tree is: Compose file, Dockerfile, Procfile or plain source, in this order. Runs none of its code.

Called by `TenantBuilder.detect`. What is wrong with the tree raises BadInput.
"""

from __future__ import annotations

import dataclasses
import pathlib

from stackyard.drivers.builders import buildpack_launcher as launcher
from stackyard.drivers.builders import buildpacks, compose, dockerfile, packs
from stackyard.drivers.builders.health import check_ports
from stackyard.drivers.builders.plans import PORT, Plan, Process
from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors
from stackyard.model.applications import AppSpec, BuildSpec, Service, Stage
from stackyard.model.buildpacks import shown

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_MAX_NAMED = 8


def detect(folder: pathlib.Path, chosen: tuple[str, ...] = ()) -> AppSpec:
    """Return the services of a source tree; raises BadInput saying what was looked for and found.

    `chosen` are the buildpacks that the application is built by whatever its tree says.
    """
    name = next((name for name in COMPOSE_FILES if (folder / name).is_file()), None)
    if name:
        return _compose(folder, name, chosen)
    named = chosen or buildpacks.of_tree(Tree(folder))
    if named:
        return _with_named(folder, named, "--buildpack" if chosen else buildpacks.FILE)
    if (folder / "Dockerfile").is_file():
        return _dockerfile(folder)
    plan = packs.plan(Tree(folder))
    if plan:
        return _planned(plan)
    raise _nothing(folder)


def _compose(folder: pathlib.Path, name: str, chosen: tuple[str, ...]) -> AppSpec:
    try:
        spec = compose.parse(_text(folder, name), lambda path: _text(folder, path))
        services = tuple(_with_build(folder, service, chosen) for service in spec.services)
        check_ports(services)
    except errors.BadInput as error:
        raise errors.BadInput(f"{name}: {error}") from error
    others = [other for other in COMPOSE_FILES if other != name and (folder / other).is_file()]
    notes = [f"found {name}", *spec.notes, *(f"{other} has no effect beside {name}" for other in others)]
    if chosen and not any(service.build and service.build.buildpacks == chosen for service in services):
        notes.append(f"the buildpacks chosen with --buildpack have no effect: no service of {name} is built by them")
    return dataclasses.replace(spec, services=_with_folders(services), notes=tuple(notes))


def _with_named(folder: pathlib.Path, named: tuple[str, ...], where: str) -> AppSpec:
    """Return what third-party buildpacks shall make: the Procfile's processes, else whatever they will say."""
    build = BuildSpec(buildpacks=named)
    notes = [f"found {where}: {', '.join(shown(named))}"]
    others = [name for name in ("Dockerfile", buildpacks.FILE) if name != where and (folder / name).is_file()]
    notes += [f"{name} has no effect beside {where}" for name in others]
    processes = [_process(process) for process in packs.named(Tree(folder))] or [Service("web", port=PORT)]
    made = [_told_its_process(dataclasses.replace(service, build=build)) for service in processes]
    return AppSpec(tuple(made), notes=tuple(notes))


def _told_its_process(service: Service) -> Service:
    """Let the launcher of an image made by buildpacks start the process of the service's name, if they name one."""
    own = service.command is not None or service.entrypoint is not None
    port = service.port or (PORT if service.name == "web" and not own else None)
    given = {launcher.TYPE: service.name, **({"PORT": str(port)} if port else {})}
    return dataclasses.replace(service, port=port, environment={**given, **service.environment})


def _dockerfile(folder: pathlib.Path) -> AppSpec:
    port = dockerfile.parse(_text(folder, "Dockerfile")).port
    notes = ["found Dockerfile"]
    if port is None:
        notes.append("Dockerfile has no EXPOSE, so nothing is routed to it; add for example 'EXPOSE 8000'")
    if (folder / "Procfile").is_file():
        notes.append("Procfile has no effect beside Dockerfile")
    return AppSpec((Service("web", build=BuildSpec(dockerfile="Dockerfile"), port=port),), notes=tuple(notes))


def _planned(plan: Plan) -> AppSpec:
    runtime, notes = plan.runtime, []
    notes.append(f"found {plan.found}: {runtime.name} {runtime.version} ({runtime.reason})")
    notes += [f"{step.tool} for {step.subject}" for step in plan.steps()]
    processes = _started(plan)
    notes += [f"{process.name}: {process.command} ({process.reason})" for process in processes]
    if not any(process.name == "web" for process in processes):
        notes.append(
            "there is no web process, so nothing is routed; name the one that serves HTTP 'web' in the Procfile"
        )
    return AppSpec(tuple(_process(process) for process in processes), notes=(*notes, *plan.notes))


def _started(plan: Plan) -> tuple[Process, ...]:
    if not plan.processes:
        raise errors.BadInput(plan.unstarted)
    return plan.processes


def _process(process: Process) -> Service:
    """Return a process as a service; `web` alone is led to by the router, at $PORT."""
    web = process.name == "web"
    stage = Stage.RELEASE if process.name == Stage.RELEASE.value else Stage.RUN
    return Service(
        process.name,
        build=BuildSpec(),
        command=("/bin/sh", "-c", process.command),
        environment={"PORT": str(PORT)} if web else {},
        port=PORT if web else None,
        stage=stage,
    )


def _with_build(folder: pathlib.Path, service: Service, chosen: tuple[str, ...]) -> Service:
    """Find out how a service's image is made: by the Dockerfile that is there, or by a language pack."""
    if service.build is None:
        return service
    context = folder / service.build.context
    where = f"build of service {service.name!r}"
    if not context.is_dir():
        raise errors.BadInput(f"{where}: there is no folder {service.build.context!r} in the source tree")
    theirs = service.build.buildpacks or chosen
    if service.build.dockerfile or ((context / "Dockerfile").is_file() and not theirs):
        named = service.build.dockerfile or "Dockerfile"
        if not (context / named).is_file():
            raise errors.BadInput(f"{where}: there is no file {named!r} in {service.build.context!r}")
        return dataclasses.replace(service, build=dataclasses.replace(service.build, dockerfile=named))
    theirs = theirs or buildpacks.of_tree(Tree(context))
    if theirs:
        build = dataclasses.replace(service.build, buildpacks=theirs)
        return _told_its_process(dataclasses.replace(service, build=build))
    plan = packs.plan(Tree(context))
    if plan is None:
        raise errors.BadInput(f"{where}: {_nothing(context)}")
    return _with_pack(plan, service)


def _with_pack(plan: Plan, service: Service) -> Service:
    """Give a service made by a language pack its command and, unless it runs something of its own, its port."""
    command, port = service.command, service.port
    if command is None and service.entrypoint is None:
        if service.stage is not Stage.RUN and not plan.process(service.name):
            raise errors.BadInput(
                f"service {service.name!r} does not go on running, and nothing says what it does; give it a command"
            )
        process = plan.process(service.name) or plan.process("web") or _started(plan)[0]
        command = ("/bin/sh", "-c", process.command)
        port = (port or PORT) if service.stage is Stage.RUN else None
    environment = {"PORT": str(port), **service.environment} if port else service.environment
    return dataclasses.replace(service, command=command, port=port, environment=environment)


def _with_folders(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """Tell language packs which folders volumes are mounted on, for all services that share an image."""
    return tuple(_with_own_folders(service, services) for service in services)


def _with_own_folders(service: Service, services: tuple[Service, ...]) -> Service:
    if service.build is None or service.build.dockerfile:
        return service
    sharing = [other for other in services if other.build == service.build]
    targets = sorted({mount.target for other in sharing for mount in other.mounts})
    return dataclasses.replace(service, build=dataclasses.replace(service.build, folders=tuple(targets)))


def _nothing(folder: pathlib.Path) -> errors.BadInput:
    found = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(found[:_MAX_NAMED]) + (f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else "")
    other = next((words for marker, words in _OTHERS.items() if marker in found), "")
    return errors.BadInput(
        f"no application found: looked for compose.yaml, Dockerfile, and languages ({packs.markers()});"
        f" found {shown or 'nothing at all'}. {other or 'Push the folder that holds one of these, or add a Dockerfile'}"
    )


_OTHERS = {
    "build.gradle": "Gradle has no language pack; use Maven or add a Dockerfile",
    "build.gradle.kts": "Gradle has no language pack; use Maven or add a Dockerfile",
    "Cargo.toml": "Rust has no language pack; add a Dockerfile",
    "mix.exs": "Elixir has no language pack; add a Dockerfile",
    "Procfile": "A Procfile does not tell the language; add its manifest (such as requirements.txt) or a Dockerfile",
}


def _text(folder: pathlib.Path, name: str) -> str:
    return Tree(folder).text(name)
