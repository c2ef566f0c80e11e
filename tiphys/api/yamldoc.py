"""YAML request bodies as the documents that JSON would have given: string keys, plain scalars, repeated keys remembered.

Follows YAML 1.1 for scalars, as clients of Kubernetes expect (`yes` is a boolean); times stay text.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tiphys.api.conform import Node
from tiphys.api.limits import MAX_DEPTH

MAX_NODES = 500_000
"""How large a document may be once its aliases are written out."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MAY_NEST = re.compile(rb"[ \t?-]{200}|\A(?:\xff\xfe|\xfe\xff)")
"""A line that is indented as nesting needs it, or a text in UTF-16, of which the bytes tell nothing."""


class YAMLError(ValueError):
    """The text is not YAML, or stands for something that JSON cannot say."""


def load(text: bytes) -> Any:
    """The first document of a stream; raises YAMLError."""
    loader = None
    try:
        if text.count(b"[") + text.count(b"{") > MAX_DEPTH // 2 or _MAY_NEST.search(text) is not None:
            _check_depth(text)
        loader = _Loader(text)
        node = loader.get_node() if loader.check_node() else None
        if node is None:
            return None
        _measure(node)
        return _build(loader, node)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        if isinstance(error, YAMLError):
            raise
        said = "the document nests too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise YAMLError(f"yaml: {said}") from None
    finally:
        if loader is not None:
            loader.dispose()


def repeated_keys(text: bytes) -> list[str]:
    """The keys that stand more than once in an object of a document that `load` accepts, each with its line, inner objects first."""
    root = yaml.compose(text, Loader=_Loader)
    told: dict[str, None] = {}

    def look(node: yaml.Node) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                look(item)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                look(value)
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        told[f"line {key.start_mark.line + 1}: key {json.dumps(key.value)} already set in map"] = None
                    seen.add(key.value)

    if root is not None:
        look(root)
    return list(told)


def _check_depth(text: bytes) -> None:
    """Refuse what nests too deeply, by its events, which are made without recursion."""
    # The parser in C recurses without a limit of its own, and would take the process along.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YAMLError("yaml: the document nests too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _measure(root: yaml.Node) -> None:
    """Refuse documents that aliases blow up or that contain themselves."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size(node: yaml.Node) -> int:
        key = id(node)
        if key in open_:
            raise YAMLError("yaml: a value contains itself")
        if key not in sizes:
            open_.add(key)
            sizes[key] = 1 + sum(size(child) for child in _children(node))
            open_.discard(key)
        if sizes[key] > MAX_NODES:
            raise YAMLError("yaml: document contains excessive aliasing")
        return sizes[key]

    size(root)


def _build(loader: Any, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        written = {id(key) for key, _ in node.value}
        loader.flatten_mapping(node)
        pairs = [(_key(_build(loader, key)), _build(loader, value), id(key) in written) for key, value in node.value]
        # What a merge (`<<`) brings comes first and gives way; it does not count as a repetition.
        own = {key for key, _, mine in pairs if mine}
        return Node([(key, value) for key, value, mine in pairs if mine or key not in own])
    assert isinstance(node, yaml.ScalarNode)
    tag = node.tag.rpartition(":")[2]
    if tag in ("int", "float", "bool", "null"):
        value = loader.construct_object(node)
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            raise YAMLError(f"yaml: {node.value} cannot be said in JSON")
        return value
    return node.value


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        raise YAMLError("yaml: a key must be a scalar")
    return str(value)
