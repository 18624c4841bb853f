# SPDX-License-Identifier: Apache-2.0
"""What a source tree is: Compose file, Dockerfile, Procfile or plain source, in this order. Runs none of its code.

Called by `TenantBuilder.detect`. What is wrong with the tree raises BadInput.
"""

from __future__ import annotations

import dataclasses
import pathlib

from stackyard.drivers.builders import compose, dockerfile, procfile, python_project
from stackyard.model import errors
from stackyard.model.applications import AppSpec, BuildSpec, Service

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
PORT = 8000
_MAX_TEXT = 1024 * 1024
_MAX_NAMED = 8


def detect(folder: pathlib.Path) -> AppSpec:
    """Return the services of a source tree; raises BadInput saying what was looked for and found."""
    name = next((name for name in COMPOSE_FILES if (folder / name).is_file()), None)
    if name:
        return _compose(folder, name)
    if (folder / "Dockerfile").is_file():
        return _dockerfile(folder)
    if python_project.is_python(folder):
        return _python(folder)
    raise _nothing(folder)


def _compose(folder: pathlib.Path, name: str) -> AppSpec:
    try:
        spec = compose.parse(_text(folder, name), lambda path: _text(folder, path))
        services = tuple(_with_build(folder, service) for service in spec.services)
    except errors.BadInput as error:
        raise errors.BadInput(f"{name}: {error}") from error
    others = [other for other in COMPOSE_FILES if other != name and (folder / other).is_file()]
    notes = (f"found {name}", *spec.notes, *(f"{other} has no effect beside {name}" for other in others))
    return AppSpec(_with_folders(services), spec.volumes, notes)


def _dockerfile(folder: pathlib.Path) -> AppSpec:
    port = dockerfile.parse(_text(folder, "Dockerfile")).port
    notes = ["found Dockerfile"]
    if port is None:
        notes.append("Dockerfile has no EXPOSE, so nothing is routed to it; add for example 'EXPOSE 8000'")
    if (folder / "Procfile").is_file():
        notes.append("Procfile has no effect beside Dockerfile")
    return AppSpec((Service("web", build=BuildSpec(dockerfile="Dockerfile"), port=port),), notes=tuple(notes))


def _python(folder: pathlib.Path) -> AppSpec:
    asked = python_project.requirements(folder)
    notes = [f"found Python; dependencies: {asked.found_in or 'none'}"]
    if (folder / "Procfile").is_file():
        lines = procfile.parse(_text(folder, "Procfile"))
        notes.append(f"found Procfile with {', '.join(lines)}")
    else:
        lines = {"web": _web_command(folder, asked)}
        notes.append(f"web command: {lines['web']}")
    return AppSpec(tuple(_process(name, line) for name, line in lines.items()), notes=tuple(notes))


def _process(name: str, line: str) -> Service:
    """Return a process of a Procfile; `web` alone is led to by the router, at $PORT."""
    web = name == "web"
    return Service(
        name,
        build=BuildSpec(),
        command=("/bin/sh", "-c", line),
        environment={"PORT": str(PORT)} if web else {},
        port=PORT if web else None,
    )


def _with_build(folder: pathlib.Path, service: Service) -> Service:
    """Find out how a service's image is made: by the Dockerfile that is there, or by a language pack."""
    if service.build is None:
        return service
    context = folder / service.build.context
    where = f"build of service {service.name!r}"
    if not context.is_dir():
        raise errors.BadInput(f"{where}: there is no folder {service.build.context!r} in the source tree")
    if service.build.dockerfile or (context / "Dockerfile").is_file():
        named = service.build.dockerfile or "Dockerfile"
        if not (context / named).is_file():
            raise errors.BadInput(f"{where}: there is no file {named!r} in {service.build.context!r}")
        return dataclasses.replace(service, build=dataclasses.replace(service.build, dockerfile=named))
    if not python_project.is_python(context):
        raise errors.BadInput(f"{where}: {_nothing(context)}")
    return _with_pack(context, service)


def _with_pack(context: pathlib.Path, service: Service) -> Service:
    """Give a service made by the language pack its command and, unless it runs something of its own, its port."""
    asked = python_project.requirements(context)
    command, port = service.command, service.port
    if command is None and service.entrypoint is None:
        lines = procfile.parse(_text(context, "Procfile")) if (context / "Procfile").is_file() else {}
        command = ("/bin/sh", "-c", lines.get(service.name) or lines.get("web") or _web_command(context, asked))
        port = port or PORT
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


def _web_command(folder: pathlib.Path, asked: python_project.Requirements) -> str:
    command = python_project.web_command(folder, asked)
    if command is None:
        raise errors.BadInput(
            "this is Python, but what starts it? Looked for a Procfile, for gunicorn with app.py, main.py or wsgi.py,"
            " and for app.py, main.py, wsgi.py; add a Procfile with a line such as 'web: python -m package'"
        )
    return command


def _nothing(folder: pathlib.Path) -> errors.BadInput:
    found = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(found[:_MAX_NAMED]) + (f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else "")
    language = next((words for marker, words in _OTHERS.items() if marker in found), "")
    return errors.BadInput(
        "no application found: looked for compose.yaml, Dockerfile, and Python's"
        f" {', '.join(python_project.MARKERS)}; found {shown or 'nothing at all'}."
        f" {language or 'Push the folder that holds one of these, or add a Dockerfile'}"
    )


_OTHERS = {
    "package.json": "Node.js has no language pack yet; add a Dockerfile",
    "go.mod": "Go has no language pack yet; add a Dockerfile",
    "pom.xml": "Java has no language pack yet; add a Dockerfile",
    "build.gradle": "Java has no language pack yet; add a Dockerfile",
    "Gemfile": "Ruby has no language pack yet; add a Dockerfile",
    "Cargo.toml": "Rust has no language pack yet; add a Dockerfile",
    "composer.json": "PHP has no language pack yet; add a Dockerfile",
    "index.html": "A static site needs a Dockerfile, or an app.py that serves it",
    "Procfile": "A Procfile does not tell the language; add requirements.txt (may be empty) or a Dockerfile",
}


def _text(folder: pathlib.Path, name: str) -> str:
    """Return a text file of the tree; raises BadInput when it is absent, outside, too large or not UTF-8."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise errors.BadInput(f"there is no file {name!r} in the source tree")
    if path.stat().st_size > _MAX_TEXT:
        raise errors.BadInput(f"{name} is larger than {_MAX_TEXT} bytes")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise errors.BadInput(f"{name} is not UTF-8 text") from None
