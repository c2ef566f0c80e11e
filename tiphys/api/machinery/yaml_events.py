"""Builds a document from the events of YAML's parser in one pass, without recursion, and gives up as soon as it grows past its limits.

The parser in C gives one event at a time, so the caller of the generator decides how long it holds the interpreter. Its own composer
would read the whole text in one call, and recurses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tiphys.api.machinery.conform import LIMIT, Node
from tiphys.api.machinery.limits import MAX_DEPTH

MAX_NODES = 250_000
"""Values of a document, once its aliases are written out: about a second of work. Manifests of a megabyte have some 50,000."""
STEP_EVENTS = 1_000
"""Events between two pauses: a few milliseconds of work."""
MAX_NUMBER = 400
"""Characters of a number; a longer text exceeds the range of every type and stays text."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_OPEN = object()
"""Stands for an anchored value that is not complete yet."""
_NO_KEY = object()
_MERGE = object()


class YAMLError(ValueError):
    """The text is not YAML, or has a value that JSON cannot express."""


class _Sequence:
    __slots__ = ("anchor", "before", "value")

    def __init__(self, anchor: str | None, before: int) -> None:
        self.anchor, self.before = anchor, before
        self.value: list[Any] = []


class _Mapping:
    __slots__ = ("anchor", "before", "key", "merged", "pairs", "repetition", "seen")

    def __init__(self, anchor: str | None, before: int) -> None:
        self.anchor, self.before = anchor, before
        self.pairs: list[tuple[str, Any]] = []
        self.merged: dict[str, Any] = {}
        self.key: Any = _NO_KEY
        self.seen: set[str] = set()
        self.repetition = ""

    def finished(self) -> Node:
        if not self.merged:
            return Node(self.pairs)
        # What a merge (`<<`) brings comes first and gives way; it does not count as a repetition.
        own = {key for key, _ in self.pairs}
        return Node([*((key, value) for key, value in self.merged.items() if key not in own), *self.pairs])


class Builder:
    """Reads the first document of a stream. Equal aliases share one value, so the result is read-only."""

    def __init__(self, text: bytes) -> None:
        self.document: Any = None
        self.repetitions: dict[str, None] = {}
        """The keys that stand more than once in an object, each with its line, inner objects first."""
        self._loader = _Loader(text)
        self._nodes = 0
        self._stack: list[_Sequence | _Mapping] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._plain: dict[str, Any] = {}
        """Values of scalars without quotes, which repeat a lot."""

    def steps(self) -> Iterator[None]:
        """Build the document, pausing every STEP_EVENTS; raises YAMLError, and the errors of the parser."""
        get = self._loader.get_event
        events = 0
        try:
            while True:
                event = get()
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    self._count(1)
                    value = self._scalar(event)
                    if event.anchor is not None:
                        self._anchors[event.anchor] = (value, 1)
                    self._place(value, event)
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    self._open(event)
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self._close(event)
                elif kind is yaml.AliasEvent:
                    self._place(self._aliased(event), event)
                elif kind is yaml.DocumentEndEvent or kind is yaml.StreamEndEvent:
                    return
                events += 1
                if events % STEP_EVENTS == 0:
                    yield
        finally:
            self._loader.dispose()

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise YAMLError(f"yaml: document has more than {MAX_NODES} values")

    def _open(self, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if isinstance(top, _Mapping) and top.key is _NO_KEY:
            raise YAMLError("yaml: a key must be a scalar")
        if len(self._stack) == MAX_DEPTH:
            raise YAMLError("yaml: the document nests too deeply")
        anchor, before = event.anchor, self._nodes
        if anchor is not None:
            self._anchors[anchor] = (_OPEN, 0)
        self._count(1)
        self._stack.append((_Mapping if type(event) is yaml.MappingStartEvent else _Sequence)(anchor, before))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        value = frame.value if isinstance(frame, _Sequence) else frame.finished()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (value, self._nodes - frame.before)
        self._place(value, event)

    def _aliased(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise YAMLError(f"yaml: unknown anchor '{event.anchor}' referenced")
        value, nodes = self._anchors[event.anchor]
        if value is _OPEN:
            raise YAMLError("yaml: a value contains itself")
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise YAMLError("yaml: document contains excessive aliasing")
        return value

    def _place(self, value: Any, event: Any) -> None:
        """Put a complete value where it belongs."""
        if not self._stack:
            self.document = "<<" if value is _MERGE else value
            return
        top = self._stack[-1]
        if isinstance(top, _Sequence):
            top.value.append("<<" if value is _MERGE else value)
        elif top.key is _NO_KEY:
            self._key(top, value, event)
        else:
            key, top.key = top.key, _NO_KEY
            if key is _MERGE:
                self._merge(top, value)
            else:
                top.pairs.append((key, "<<" if value is _MERGE else value))
            if top.repetition and len(self.repetitions) < LIMIT:
                self.repetitions[top.repetition] = None
                top.repetition = ""

    @staticmethod
    def _key(top: _Mapping, value: Any, event: Any) -> None:
        top.key = value if value is _MERGE else _text(value)
        written = event.value if type(event) is yaml.ScalarEvent else str(top.key)
        if written in top.seen:
            top.repetition = f"line {event.start_mark.line + 1}: key {json.dumps(written)} already set in map"
        top.seen.add(written)

    def _merge(self, top: _Mapping, value: Any) -> None:
        """Bring the members of other objects in; of several objects the first one wins."""
        objects = value[::-1] if isinstance(value, list) else [value]
        for members in objects:
            if not isinstance(members, dict):
                raise YAMLError("yaml: map merge requires map or sequence of maps as the value")
            self._count(len(members))
            top.merged.update(members)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        tag: str | None = event.tag
        if tag is None or tag == "!":
            if not event.implicit[0] or len(text) > MAX_NUMBER:
                return text
            if text not in self._plain:
                self._plain[text] = self._value(self._loader.resolve(yaml.ScalarNode, text, (True, False)), text)
            return self._plain[text]
        return self._value(tag, text)

    def _value(self, tag: str, text: str) -> Any:
        """The value of a scalar: numbers in base 60 and times stay text."""
        name = tag.removeprefix(_TAG)
        if name == "merge":
            return _MERGE
        if name not in ("int", "float", "bool", "null") or len(text) > MAX_NUMBER or ":" in text:
            return text
        try:
            value = getattr(self._loader, f"construct_yaml_{name}")(yaml.ScalarNode(tag, text))
        except (LookupError, ValueError):
            raise YAMLError(f"yaml: cannot decode {text!r} as a {tag}") from None
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            raise YAMLError(f"yaml: {text} cannot be said in JSON")
        return value


def _text(value: Any) -> str:
    """The key of a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        raise YAMLError("yaml: a key must be a scalar")
    return str(value)
