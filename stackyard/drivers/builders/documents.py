# SPDX-License-Identifier: Apache-2.0
"""YAML documents read strictly: YAML 1.2 words, no duplicate keys, no tags, no bombs.

Called by `compose` and for option data. Knows nothing of Compose; raises only BadInput.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from stackyard.model import errors

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 50
_MERGE = "tag:yaml.org,2002:merge"
_KEPT = ("tag:yaml.org,2002:null", _MERGE)


class WrittenInt(int):
    """A whole number that is shown as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


class WrittenFloat(float):
    """A number with a fraction that is shown as it was written (1.10 stays 1.10)."""

    text: str

    def __str__(self) -> str:
        return self.text


class _Loader(yaml.SafeLoader):
    """Resolves plain words as YAML 1.2 does: `yes`, `22:22` and dates are strings. Stops early at what is too large.

    libyaml would be quicker, but recurses without bound on deep nesting.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (the library's own form)
        first: [(tag, pattern) for tag, pattern in rules if tag in _KEPT]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    max_nodes = MAX_NODES
    _nodes = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Count values and nesting while the document is read."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > self.max_nodes or self._depth > MAX_DEPTH:
            words = "the file is nested too deeply" if self._depth > MAX_DEPTH else f"more than {self.max_nodes} values"
            raise yaml.composer.ComposerError(problem=words, problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _int(_loader: _Loader, node: yaml.ScalarNode) -> WrittenInt:
    number = WrittenInt(int(node.value, 0 if node.value.lstrip("+-").startswith("0") and len(node.value) > 1 else 10))
    number.text = node.value
    return number


def _float(_loader: _Loader, node: yaml.ScalarNode) -> WrittenFloat:
    number = WrittenFloat(node.value)
    number.text = node.value
    return number


def _bool(_loader: _Loader, node: yaml.ScalarNode) -> bool:
    return str(node.value).lower() == "true"


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"(?:[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def load(text: str, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES) -> Any:
    """Return the one document as plain values; raises BadInput with the line of what is wrong."""
    if len(text) > max_bytes:
        raise errors.BadInput(f"the file is larger than {max_bytes} bytes")
    try:
        return _load(text, max_nodes)
    except yaml.MarkedYAMLError as error:
        raise errors.BadInput(_words(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise errors.BadInput(f"no YAML: {' '.join(str(error).split())[:200]}") from error


def _load(text: str, max_nodes: int) -> Any:
    loader = _Loader(text)
    loader.max_nodes = max_nodes
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, max_nodes)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _measure(node: yaml.Node, max_nodes: int) -> None:
    """Bound what the document becomes with all aliases written out; refuse one that contains itself."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise _located(node, "an alias that contains itself")
        open_nodes.add(id(node))
        _check_keys(node)
        total = 1 + sum(size(child) for child in _children(node))
        open_nodes.discard(id(node))
        if total > max_nodes:
            raise _located(node, f"the document has more than {max_nodes} values once its aliases are written out")
        sizes[id(node)] = total
        return total

    size(node)


def _check_keys(node: yaml.Node) -> None:
    """Refuse a key that is there twice; the merge key `<<` may be overridden. All other keys are strings."""
    seen: dict[str, int] = {}
    for key, _value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise _located(key, "a key must be a plain word")
        if key.tag == _MERGE:
            continue
        if key.value in seen:
            raise _located(key, f"key {key.value!r} is there twice (first in line {seen[key.value]})")
        key.tag = "tag:yaml.org,2002:str"
        seen[key.value] = key.start_mark.line + 1


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _located(node: yaml.Node, words: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=words, problem_mark=node.start_mark)


def _words(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}: " if mark else ""
    return f"{where}{error.problem or error.context}"
