# SPDX-License-Identifier: Apache-2.0
"""Writes which options OpenStack's services know, as oslo-config-generator tells, without words for people.

Run by `tools/openstack_options.py` in a container of the image `stackyard/openstack`: a file for each service, in the
generator's own shape. Group `*` has options that groups of any name may have.
"""

import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

FOLDER = pathlib.Path("/tmp/options")  # of a container that is there for this only
SERVICES = {
    "keystone": ("keystone",),
    "placement": ("openstack-placement",),
    "glance": ("glance", "glance-store"),
    "neutron": ("neutron", "neutron-lib"),
    "nova": ("nova",),
    "heat": ("openstack-heat",),
}
"""Python distributions by service; each uses the libraries as well."""
LIBRARIES = ("oslo-", "keystonemiddleware", "osprofiler")
STORES = re.compile(r"file|glance\.store\..*")
"""Groups that say what the stores of Glance may have, whose groups have names that operators choose."""
Json = dict[str, Any]
KEPT = ("name", "dest", "type", "min", "max", "choices", "secret")
NOTHING: tuple[Any, ...] = (None, "", [], {})


def main() -> None:
    """Write the files of all services that are installed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = namespaces()
    for service, distributions in SERVICES.items():
        own = [name for name in distributions if found.get(name)]
        if own:
            names = [name for one in found if one in own or one.startswith(LIBRARIES) for name in found[one]]
            write(service, reduced(service, generated(sorted(names))))


def namespaces() -> dict[str, list[str]]:
    """Return the generator's namespaces by distribution, but for those of tests, which are not installed with them."""
    found: dict[str, list[str]] = {}
    for entry in importlib.metadata.entry_points(group="oslo.config.opts"):
        assert entry.dist is not None
        name = entry.dist.name.lower().replace("_", "-").replace(".", "-")
        if "integrationtests" not in entry.name:
            found.setdefault(name, []).append(entry.name)
    return found


def generated(names: list[str]) -> Json:
    """Return what the generator writes of these namespaces."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "options.json")
        words = [word for name in names for word in ("--namespace", name)]
        command = ["oslo-config-generator", "--format", "json", "--output-file", str(file), *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return dict(json.loads(file.read_text()))


def reduced(service: str, said: Json) -> Json:
    """Return groups, options and names of before."""
    options = {group: {"opts": unique(map(kept, told["opts"]))} for group, told in said["options"].items()}
    if service == "glance":
        stores = [told["opts"] for group, told in options.items() if STORES.fullmatch(group)]
        options["*"] = {"opts": unique(option for opts in stores for option in opts)}
    old = {group: unique({"name": each["name"]} for each in told) for group, told in said["deprecated_options"].items()}
    return {"options": options, "deprecated_options": old}


def kept(option: Json) -> Json:
    """Return what a check needs of an option."""
    found = {part: option[part] for part in KEPT if option.get(part) not in NOTHING and option.get(part) is not False}
    if "choices" in found:
        found["choices"] = [value for value, _ in found["choices"]]
    if found.get("dest") == found["name"].replace("-", "_"):
        del found["dest"]
    return found


def unique(options: Iterable[Json]) -> list[Json]:
    """Return options in order, each once: libraries tell the same ones in several namespaces."""
    return [json.loads(text) for text in sorted({json.dumps(option, sort_keys=True) for option in options})]


def write(service: str, told: Json) -> None:
    """Write a service's file, a group in a line, so that two releases can be compared."""
    parts = []
    for part, groups in told.items():
        lines = [f"  {json.dumps(group)}: {json.dumps(said, sort_keys=True)}" for group, said in sorted(groups.items())]
        parts.append(f" {json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n }")
    (FOLDER / f"{service}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
