"""YAML request bodies as the documents that JSON would have given: string keys, plain scalars, repeated keys remembered.

Follows YAML 1.1 for scalars, as clients of Kubernetes expect (`yes` is a boolean), except that times and numbers in base 60 stay text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from tiphys.api.machinery.conform import may_repeat
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.limits import check_depth
from tiphys.api.machinery.yaml_events import Builder, YAMLError

__all__ = ["Parsed", "YAMLError", "load", "parse", "taken"]

MAX_DIRECTIVES = 1024
"""Bytes of `%TAG` directives: the parser compares each with all before it, and writes their prefixes out in every tag."""
_DIRECTIVE = re.compile(rb"(?:\A|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9])(%TAG[^\r\n]*)")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The first document of a stream, which is not to be changed: its parts may be shared.

    `repetitions` are the keys that stand more than once in an object, each with its line, inner objects first.
    """

    document: Any
    repetitions: list[str] = field(default_factory=list)


def parse(text: bytes) -> Generator[None, None, Parsed]:
    """Parse a stream, pausing after every few milliseconds of work; raises YAMLError."""
    try:
        if text.startswith(_UTF16):
            text = text.decode("utf-16").encode()
        if text.lstrip(b" \t\r\n").startswith(b"{"):
            json = _from_json(text)
            if json is not None:
                return json
        if b"%TAG" in text and sum(map(len, _DIRECTIVE.findall(text))) > MAX_DIRECTIVES:
            raise YAMLError("yaml: too many tag directives")
        builder = Builder(text)
        yield from builder.steps()
    except (yaml.YAMLError, UnicodeError) as error:
        raise YAMLError(f"yaml: {' '.join(str(error).split())}") from None
    return Parsed(builder.document, list(builder.repetitions))


def load(text: bytes) -> Parsed:
    """Parse a stream in one go; raises YAMLError."""
    steps = parse(text)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            parsed: Parsed = end.value
            return parsed


def taken(text: bytes, parsed: Parsed | YAMLError | None) -> Parsed:
    """The outcome of an earlier `parse`, or of one that is made now; raises YAMLError."""
    if isinstance(parsed, YAMLError):
        raise parsed
    return load(text) if parsed is None else parsed


def _from_json(text: bytes) -> Parsed | None:
    """The document of a text that is JSON without repeated keys, in a fraction of the time."""
    try:
        check_depth(text)
    except BadRequest:
        raise YAMLError("yaml: the document nests too deeply") from None
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if may_repeat(text, document) else Parsed(document)
