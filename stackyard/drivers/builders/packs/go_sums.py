# SPDX-License-Identifier: Apache-2.0
"""Whether go.sum, or the folder vendor, has every module that go.mod requires. Called by `go`. Pure.

The form of the files: https://go.dev/ref/mod (go.mod, go.sum, vendoring).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackyard.drivers.builders.packs.locks import disagrees
from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors

Module = tuple[str, str]
_VERSION = re.compile(r"v\d+\.\d+\.\d+\S*")


def check(tree: Tree) -> None:
    """Raise BadInput naming the first module that is required and not recorded."""
    if tree.has("go.work"):  # modules of the tree itself need no sums
        return
    required = list(modules(tree.text("go.mod")))
    if tree.has("vendor/modules.txt"):
        _check_vendor(tree, required)
    elif required:
        _check_sums(tree, required)


def modules(text: str) -> Iterator[Module]:
    """Yield path and version of each module that is required, or of what replaces it; folders have neither."""
    lines = list(_directives(text))
    replaced = dict(_replacement(words) for verb, words in lines if verb == "replace" and "=>" in words)
    for verb, words in lines:
        if verb != "require" or len(words) < 2:
            continue
        path, version = words[:2]
        found = replaced.get((path, version), replaced.get((path, ""), (path, version)))
        if _VERSION.fullmatch(found[1]):
            yield found


def _directives(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield verb and words of each line; those of a block in brackets one by one, without comments."""
    block = ""
    for line in text.splitlines():
        words = [word.strip('"`') for word in line.partition("//")[0].split()]
        if not words:
            continue
        if block:
            if words == [")"]:
                block = ""
            else:
                yield block, words
        elif words[-1] == "(":
            block = words[0]
        else:
            yield words[0], words[1:]


def _replacement(words: list[str]) -> tuple[Module, Module]:
    """Return what `old [version] => new [version]` says; a folder has no version."""
    middle = words.index("=>")
    old, new = [*words[:middle], "", ""], [*words[middle + 1 :], "", ""]
    return (old[0], old[1]), (new[0], new[1])


def _check_sums(tree: Tree, required: list[Module]) -> None:
    if not tree.has("go.sum"):
        raise errors.BadInput("go.mod requires modules but there is no go.sum; run 'go mod tidy' and push go.sum")
    lines = (line.split() for line in tree.lock("go.sum").splitlines())
    known = {(words[0], words[1].removesuffix("/go.mod")) for words in lines if len(words) == 3}
    missing = next((module for module in required if module not in known), None)
    if missing:
        raise disagrees("go.sum", "go.mod", f"it has no {' '.join(missing)}", "go mod tidy")


def _check_vendor(tree: Tree, required: list[Module]) -> None:
    """Compare with the lines `# path version` and `# path version => path version`."""
    known: set[Module] = set()
    for line in tree.lock("vendor/modules.txt").splitlines():
        words = line.split()
        if words[:1] == ["#"]:
            known |= {(words[n], words[n + 1]) for n in range(1, len(words) - 1)}
    missing = next((module for module in required if module not in known), None)
    if missing:
        raise disagrees("vendor/modules.txt", "go.mod", f"it has no {' '.join(missing)}", "go mod vendor")
