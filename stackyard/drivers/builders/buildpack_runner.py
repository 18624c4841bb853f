# SPDX-License-Identifier: Apache-2.0
"""Runs third-party buildpacks inside of the workroom, as the tenant: detect all, agree on a plan, build one by one.

Copied into the container by `buildpack_images`, so it knows nothing but Python's standard library (3.11). It reads
`buildpacks.json` beside itself and leaves in OUT: `result.json` and one tar per layer that the application needs.
Buildpacks speak Heroku's API (bin/detect, compile, release) or the Cloud Native Buildpack API (buildpack.toml).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
VOLUME = pathlib.Path("/run/stackyard-build")
OUT, WORK = VOLUME / "out", VOLUME / "buildpack-work"
APP, LAYERS, CACHE = pathlib.Path("/app"), pathlib.Path("/layers"), pathlib.Path("/cache/buildpacks")
TIME = 315532801  # 1980-01-01T00:00:01Z, as the specification has it: the same files give the same layer
NOT_FOR_THIS = 100
MAX_TRIALS = 10_000
OWN_FILES = ("launch", "build", "store")
SEARCHED = {"PATH": "bin", "LD_LIBRARY_PATH": "lib", "LIBRARY_PATH": "lib", "CPATH": "include"}
AT_LAUNCH = ("PATH", "LD_LIBRARY_PATH")

Table = dict[str, Any]
Change = tuple[str, str, str, str]
"""A change of the environment: how (append, prepend, override, default), name, value, delimiter."""


class Failure(Exception):
    """What ends the build, in words for its log."""


@dataclasses.dataclass(frozen=True)
class Pack:
    """One buildpack: where it lies, which API it speaks, what it calls itself."""

    folder: pathlib.Path
    kind: str
    id: str
    clear_env: bool = False

    @property
    def escaped(self) -> str:
        """Return its id as a name of a folder."""
        return self.id.replace("/", "_")


# --- the plan ----------------------------------------------------------------------------------


def agree(detected: Sequence[Table]) -> list[Table]:
    """Return for each buildpack the option of its plan with which all fit together; raises Failure."""
    options = [[found, *found.get("or", [])] for found in detected]
    if math.prod(len(each) for each in options) > MAX_TRIALS:
        raise Failure("the buildpacks offer too many alternatives in their plans")
    complaint = ""
    for group in itertools.product(*options):
        wrong = misfit(group)
        if not wrong:
            return list(group)
        complaint = complaint or wrong
    raise Failure(complaint)


def misfit(group: Sequence[Table]) -> str:
    """Return why these options do not fit: all required is provided before or there, all provided required after."""
    provided: set[str] = set()
    for each in group:
        provided |= _names(each, "provides")
        missing = _names(each, "requires") - provided
        if missing:
            return f"{', '.join(sorted(missing))} is required by a buildpack, and none before it provides it"
    required: set[str] = set()
    for each in reversed(group):
        required |= _names(each, "requires")
        idle = _names(each, "provides") - required
        if idle:
            return f"{', '.join(sorted(idle))} is provided by a buildpack, and none after it requires it"
    return ""


def _names(plan: Table, key: str) -> set[str]:
    return {str(entry.get("name", "")) for entry in plan.get(key, [])}


# --- environments ------------------------------------------------------------------------------


def changes(folder: pathlib.Path) -> list[Change]:
    """Return what the files of an `env` folder say: NAME, NAME.append, NAME.prepend, NAME.override, NAME.default."""
    found: list[Change] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name, _, how = path.name.partition(".")
        if path.is_file() and how != "delim":
            delimiter = folder / f"{name}.delim"
            text = delimiter.read_text() if delimiter.is_file() else ""
            found.append((how or "override", name, path.read_text(errors="replace"), text))
    return found


def changed(environment: Mapping[str, str], asked: Sequence[Change]) -> dict[str, str]:
    """Return an environment after changes."""
    after = dict(environment)
    for how, name, value, delimiter in asked:
        before = after.get(name, "")
        parts = {"append": (before, value), "prepend": (value, before)}.get(how)
        if parts:
            after[name] = delimiter.join(part for part in parts if part)
        elif how == "override" or (how == "default" and name not in after):
            after[name] = value
    return after


def of_layer(layer: pathlib.Path, stage: str) -> list[Change]:
    """Return the changes that a layer makes for `build` or `launch`: its programs are found, its files read."""
    searched = SEARCHED if stage == "build" else AT_LAUNCH
    found: list[Change] = [
        ("prepend", name, str(layer / SEARCHED[name]), ":") for name in searched if (layer / SEARCHED[name]).is_dir()
    ]
    if stage == "build" and (layer / "pkgconfig").is_dir():
        found.append(("prepend", "PKG_CONFIG_PATH", str(layer / "pkgconfig"), ":"))
    return [*found, *changes(layer / "env"), *changes(layer / f"env.{stage}")]


# --- running -----------------------------------------------------------------------------------


class Build:
    """All buildpacks of one build, in their order."""

    def __init__(self, packs: Sequence[Pack], user: Mapping[str, str], stack: Mapping[str, str]) -> None:
        """`user` are variables that the application's author gave to the build, `stack` says where it runs."""
        self.packs = packs
        self.user = dict(user)
        self.environment = {**os.environ, **stack}
        self.result: Table = {"layers": [], "processes": [], "labels": {}, "releases": [], "changes": []}
        self._platform = WORK / "platform"
        self._plans: list[Table] = []
        self._met: set[str] = set()

    def run(self) -> None:
        """Detect, build, and write what came of it."""
        for name, value in self.user.items():
            _write(self._platform / "env" / name, value)
        (self._platform / "env").mkdir(parents=True, exist_ok=True)
        detected = [self._detect(pack) for pack in self.packs]
        self._plans = agree(detected)
        for number, pack in enumerate(self.packs):
            _say(f"===> Building with {pack.id}")
            (self._compile if pack.kind == "heroku" else self._build)(pack, number)
        self._write()

    def _detect(self, pack: Pack) -> Table:
        _say(f"===> Detecting with {pack.id}")
        plan = WORK / pack.escaped / "detected.toml"
        _write(plan, "")
        if pack.kind == "heroku":
            status = self._call(pack, "detect", str(APP))
        else:
            status = self._call(pack, "detect", str(self._platform), str(plan), CNB_BUILD_PLAN_PATH=str(plan))
        if status == NOT_FOR_THIS or (status and pack.kind == "heroku"):
            raise Failure(f"buildpack {pack.id} says that it is not for this application")
        if status:
            raise Failure(f"bin/detect of buildpack {pack.id} ended with {status}")
        return _toml(plan)

    def _call(self, pack: Pack, program: str, *arguments: str, **more: str) -> int:
        clear = {} if pack.clear_env or pack.kind == "heroku" else self.user
        environment = {**self.environment, **clear, **more, "CNB_BUILDPACK_DIR": str(pack.folder)}
        path = pack.folder / "bin" / program
        try:
            return subprocess.run([str(path), *arguments], cwd=APP, env=environment, check=False).returncode
        except OSError as error:
            raise Failure(f"bin/{program} of buildpack {pack.id} can't be run: {error.strerror}") from None

    # Heroku's API

    def _compile(self, pack: Pack, number: int) -> None:
        cache = CACHE / f"{number}-{pack.escaped}"
        cache.mkdir(parents=True, exist_ok=True)
        status = self._call(pack, "compile", str(APP), str(cache), str(self._platform / "env"))
        if status:
            raise Failure(f"bin/compile of buildpack {pack.id} ended with {status}")
        self._exports(pack)
        if (pack.folder / "bin" / "release").is_file():
            told = subprocess.run(
                [str(pack.folder / "bin" / "release"), str(APP)], cwd=APP, env=self.environment, stdout=-1, check=False
            )
            if told.returncode == 0:
                self.result["releases"].append(told.stdout.decode(errors="replace"))

    def _exports(self, pack: Pack) -> None:
        """Give what the buildpack exports to those that come after it."""
        script = pack.folder / "export"
        if script.is_file():
            words = ["bash", "-c", 'set -a; . "$0" >&2; env -0', str(script)]
            told = subprocess.run(words, cwd=APP, env=self.environment, stdout=-1, check=False).stdout
            items = (item.partition("=") for item in told.decode(errors="replace").split("\0") if "=" in item)
            self.environment = {name: value for name, _, value in items}

    # The Cloud Native Buildpack API

    def _build(self, pack: Pack, number: int) -> None:
        layers, plan = LAYERS / pack.escaped, WORK / pack.escaped / "plan.toml"
        layers.mkdir(parents=True, exist_ok=True)
        keep = Keep(CACHE / f"{number}-{pack.escaped}", layers)
        keep.restore()
        _write(plan, toml({"entries": self._entries(number)}))
        named = {"CNB_LAYERS_DIR": layers, "CNB_PLATFORM_DIR": self._platform, "CNB_BP_PLAN_PATH": plan}
        words = {name: str(path) for name, path in named.items()}
        status = self._call(pack, "build", str(layers), str(self._platform), str(plan), **words)
        if status:
            raise Failure(f"bin/build of buildpack {pack.id} ended with {status}")
        unmet = _names(_toml(layers / "build.toml"), "unmet")
        self._met |= _names(self._plans[number], "provides") - unmet
        self._launch(pack, _toml(layers / "launch.toml"))
        for name in _layers(layers):
            self._layer(pack, name, keep)
        keep.finish()

    def _entries(self, number: int) -> list[Table]:
        wanted = _names(self._plans[number], "provides") - self._met
        return [entry for plan in self._plans for entry in plan.get("requires", []) if entry.get("name") in wanted]

    def _launch(self, pack: Pack, told: Table) -> None:
        self.result["processes"] += [{**process, "buildpack": pack.id} for process in told.get("processes", [])]
        self.result["labels"] |= {str(each.get("key")): str(each.get("value")) for each in told.get("labels", [])}

    def _layer(self, pack: Pack, name: str, keep: Keep) -> None:
        folder = LAYERS / pack.escaped / name
        flags = flags_of(_toml(folder.with_name(f"{name}.toml")))
        if flags["launch"] and not folder.is_dir():
            keep.reuse(name)
        if not folder.is_dir() or not any(flags.values()):
            return
        if flags["build"]:
            self.environment = changed(self.environment, of_layer(folder, "build"))
        if flags["launch"]:
            self._export(pack, name, folder, flags)
        keep.keep(name, flags)

    def _export(self, pack: Pack, name: str, folder: pathlib.Path, flags: Table) -> None:
        number = len(self.result["layers"])
        pack_tar(OUT / f"{number}.tar", folder)
        self.result["layers"].append({"buildpack": pack.id, "name": name, "file": f"{number}.tar", **flags})
        self.result["changes"] += [["", *change] for change in of_layer(folder, "launch")]
        for each in sorted((folder / "env.launch").glob("*/")):
            self.result["changes"] += [[each.name, *change] for change in changes(each)]
        if (folder / "exec.d").is_dir():
            _say(f"note: exec.d of layer {name} has no effect; use profile.d or env.launch")
        scripts = sorted(path for path in (folder / "profile.d").rglob("*") if path.is_file())
        profile = self.result.setdefault("profile", [])
        for path in scripts:
            inner = path.relative_to(folder / "profile.d").parts
            profile.append([inner[0] if len(inner) > 1 else "", str(path)])

    def _write(self) -> None:
        pack_tar(OUT / "app.tar", APP)
        _write(OUT / "result.json", json.dumps(self.result))


class Keep:
    """What a buildpack finds again at the next build: contents of cached layers, and what it noted of the others."""

    def __init__(self, folder: pathlib.Path, layers: pathlib.Path) -> None:
        self._folder = folder
        self._layers = layers
        self._kept: set[str] = set()

    def restore(self) -> None:
        """Bring back what the last build kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / "store.toml").is_file():
            shutil.copy(self._folder / "store.toml", self._layers / "store.toml")
        for path in sorted(self._folder.glob("*.json")):
            told = json.loads(path.read_text())
            _write(self._layers / f"{path.stem}.toml", toml({"metadata": told["metadata"]}))
            if told["cache"]:
                self.reuse(path.stem)

    def reuse(self, name: str) -> None:
        """Bring back a layer's content, if it was kept."""
        path = self._folder / f"{name}.tar"
        if path.is_file():
            with tarfile.open(path) as tar:
                tar.extractall("/")  # noqa: S202  (of our own making, and in the tenant's container)

    def keep(self, name: str, flags: Table) -> None:
        """Keep a layer that is cached, or that the application runs with."""
        self._kept.add(name)
        if not (flags["cache"] or flags["launch"]):
            return
        pack_tar(self._folder / f"{name}.tar", self._layers / name)
        metadata = _toml(self._layers / f"{name}.toml").get("metadata", {})
        _write(self._folder / f"{name}.json", json.dumps({"metadata": metadata, "cache": flags["cache"]}, default=str))

    def finish(self) -> None:
        """Forget layers that are no more; keep the buildpack's own store."""
        for path in [*self._folder.glob("*.json"), *self._folder.glob("*.tar")]:
            if path.stem not in self._kept:
                path.unlink()
        if (self._layers / "store.toml").is_file():
            shutil.copy(self._layers / "store.toml", self._folder / "store.toml")


# --- files -------------------------------------------------------------------------------------


def flags_of(layer: Table) -> dict[str, bool]:
    """Return what a layer is for; before version 0.6 of the API the words stood at the top."""
    types = layer.get("types", layer)
    return {name: bool(types.get(name, False)) for name in ("launch", "build", "cache")}


def _layers(folder: pathlib.Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem not in OWN_FILES)


def pack_tar(target: pathlib.Path, folder: pathlib.Path) -> None:
    """Write a folder with all its parents as a tar that depends on names, modes and contents only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in [*reversed(folder.parents[:-1]), folder, *_below(folder)]:
            entry: tarfile.TarInfo | None = tar.gettarinfo(path, str(path).lstrip("/"))
            if entry is None:  # a socket
                continue
            entry.uid = entry.gid = 1000
            entry.uname = entry.gname = ""
            entry.mtime = TIME
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def toml(table: Mapping[str, Any]) -> str:
    """Return a table of plain values as TOML."""
    return "".join(f"{_key(str(name))} = {_value(value)}\n" for name, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(str(name))} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return _text(str(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(path: pathlib.Path) -> Table:
    try:
        return tomllib.loads(path.read_text()) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is no TOML: {error}") from None


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Run what `buildpacks.json` says."""
    asked = json.loads((HERE / "buildpacks.json").read_text())
    packs = [Pack(pathlib.Path(each.pop("folder")), **each) for each in asked["buildpacks"]]
    try:
        Build(packs, asked["environment"], asked["stack"]).run()
    except Failure as failure:
        print(f"buildpacks: {failure}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
