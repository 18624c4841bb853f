# SPDX-License-Identifier: Apache-2.0
"""What the workroom runs: builds as the JSON file says whose path it is given."""

from __future__ import annotations

import json
import pathlib
import sys

from .build import Build
from .files import Failure
from .packs import Pack, Surroundings


def main(path: str) -> int:
    """Return the exit status of a build; why it failed is the last line of its output."""
    asked = json.loads(pathlib.Path(path).read_text())
    packs = [Pack(pathlib.Path(each.pop("folder")), **each) for each in asked["buildpacks"]]
    groups = [[(int(number), bool(optional)) for number, optional in group] for group in asked["groups"]]
    try:
        Build(packs, groups, Surroundings(asked["environment"], asked["stack"])).run()
    except Failure as failure:
        print(f"buildpacks: {failure}", file=sys.stderr, flush=True)
        return 1
    return 0
