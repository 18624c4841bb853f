# SPDX-License-Identifier: Apache-2.0
"""Building with the buildpacks that take the application, one by one. Called by `main`."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence

from . import layers as layer_files
from .detecting import Detection, Group
from .environments import changed, changes, of_layer
from .files import Failure, Table, pack_tar, read_toml, say, toml, write
from .layers import Keep, flags_of
from .packs import APP, VOLUME, WORK, Pack, Surroundings
from .plan import Found, names

OUT = VOLUME / "out"
LAYERS, CACHE = pathlib.Path("/layers"), pathlib.Path("/cache/buildpacks")


class Build:
    """All buildpacks of one build; leaves in OUT `result.json`, and one tar per layer that the application needs."""

    def __init__(self, packs: Sequence[Pack], groups: Sequence[Group], around: Surroundings) -> None:
        self.packs = packs
        self.groups = groups
        self.around = around
        self.result: Table = {
            "layers": [],
            "processes": [],
            "labels": {},
            "releases": [],
            "changes": [],
            "profile": [],
            "executed": [],
        }
        self._found: list[Found] = []
        self._met: set[str] = set()

    def run(self) -> None:
        """Detect, build, and write what came of it."""
        self.around.prepare()
        self._found = Detection(self.packs, self.around).first(self.groups)
        self.result["built_by"] = [found.pack for found in self._found]
        for found in self._found:
            pack = self.packs[found.pack]
            say(f"===> Building with {pack.id}")
            (self._compile if pack.kind == "heroku" else self._build)(pack, found)
        self._write()

    # Heroku's API

    def _compile(self, pack: Pack, found: Found) -> None:
        cache = CACHE / f"{found.pack}-{pack.escaped}"
        cache.mkdir(parents=True, exist_ok=True)
        status = self.around.call(pack, "compile", str(APP), str(cache), str(self.around.platform / "env"))
        if status:
            raise Failure(f"bin/compile of buildpack {pack.id} ended with {status}")
        self._exports(pack)
        if (pack.folder / "bin" / "release").is_file():
            status, told = self.around.output(str(pack.folder / "bin" / "release"), str(APP))
            if status == 0:
                self.result["releases"].append(told)

    def _exports(self, pack: Pack) -> None:
        """Give what the buildpack exports to those that come after it."""
        script = pack.folder / "export"
        if script.is_file():
            _, told = self.around.output("bash", "-c", 'set -a; . "$0" >&2; env -0', str(script))
            items = (item.partition("=") for item in told.split("\0") if "=" in item)
            self.around.environment = {name: value for name, _, value in items}

    # The Cloud Native Buildpack API

    def _build(self, pack: Pack, found: Found) -> None:
        layers, plan = LAYERS / pack.escaped, WORK / pack.escaped / "plan.toml"
        layers.mkdir(parents=True, exist_ok=True)
        keep = Keep(CACHE / f"{found.pack}-{pack.escaped}", layers)
        keep.restore()
        write(plan, toml({"entries": self._entries(found)}))
        named = {"CNB_LAYERS_DIR": layers, "CNB_PLATFORM_DIR": self.around.platform, "CNB_BP_PLAN_PATH": plan}
        words = {name: str(path) for name, path in named.items()}
        status = self.around.call(pack, "build", str(layers), str(self.around.platform), str(plan), **words)
        if status:
            raise Failure(f"bin/build of buildpack {pack.id} ended with {status}")
        unmet = names(read_toml(layers / "build.toml"), "unmet")
        self._met |= names(found.plan, "provides") - unmet
        self._launch(pack, read_toml(layers / "launch.toml"))
        for name in layer_files.names(layers):
            self._layer(pack, name, keep)
        keep.finish()

    def _entries(self, own: Found) -> list[Table]:
        wanted = names(own.plan, "provides") - self._met
        required = (entry for found in self._found for entry in found.plan.get("requires", []))
        return [entry for entry in required if entry.get("name") in wanted]

    def _launch(self, pack: Pack, told: Table) -> None:
        self.result["processes"] += [{**process, "buildpack": pack.id} for process in told.get("processes", [])]
        self.result["labels"] |= {str(each.get("key")): str(each.get("value")) for each in told.get("labels", [])}

    def _layer(self, pack: Pack, name: str, keep: Keep) -> None:
        folder = LAYERS / pack.escaped / name
        flags = flags_of(read_toml(folder.with_name(f"{name}.toml")))
        if flags["launch"] and not folder.is_dir():
            keep.reuse(name)
        if not folder.is_dir() or not any(flags.values()):
            return
        if flags["build"]:
            self.around.environment = changed(self.around.environment, of_layer(folder, "build"))
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
        self.result["profile"] += layer_files.at_launch(folder / "profile.d")
        self.result["executed"] += layer_files.at_launch(folder / "exec.d")

    def _write(self) -> None:
        pack_tar(OUT / "app.tar", APP)
        write(OUT / "result.json", json.dumps(self.result))
