"""The messages of the API as data: for every type its fields and their numbers.

Types, forms and nesting come from the Python types; only the numbers and the few places where a message is built differently from its JSON
are written down, in `numbers/`, a module for each group and version, which is loaded when its first message is needed. There a line is a
message, and a field's place in the line is its number:

    name        the field with this JSON name
    -           a number that is not used
    50=name     the numbers up to this one are not used
    {Message}   a message of its own whose fields stand directly in the type: JSON has no such level
    name[]      a message of its own that holds nothing but the list of strings
    name|form   a message of its own around what JSON writes as any value: `json` (the JSON text in a field), and `array`, `bool`, `strings`
                for the places in a JSON schema that can hold another one (a message of the type that the line is about) or something else
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import msgspec

from tiphys.api.machinery.introspect import Field, describe

_HOME = re.compile(r"tiphys\.api\.(\w+)\.(v\w+)(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Member:
    """One numbered field of a message: a field of the type with its mark, or the name of a message that stands inline."""

    number: int
    field: Field | None = None
    mark: str = ""
    inline: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message and the type whose fields it carries. The type of an inline message is the one that it stands in."""

    name: str
    type: type[msgspec.Struct]
    members: tuple[Member, ...]

    def inner(self, member: Member) -> Message:
        """The message of an inline member."""
        return message(self.type, member.inline)


def home(type_: type) -> str:
    """`core_v1`, the module of the numbers of a type's package, or "" for types that are not of the API."""
    match = _HOME.match(type_.__module__)
    return f"{match[1]}_{match[2]}" if match else ""


@cache
def _lines(package: str) -> Mapping[str, str]:
    """The lines of a package by message; none for packages without numbers."""
    if not package:
        return {}
    name = f"{__package__}.numbers.{package}"
    try:
        text: str = import_module(name).MESSAGES
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return {}
    lines = text.replace("\n  ", " ").strip().splitlines()
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def is_known(type_: type) -> bool:
    """True if the type has a message."""
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_.__name__ in _lines(home(type_))


def message(type_: type[msgspec.Struct], name: str = "") -> Message:
    """The message of a type, or the inline one of that name in it. Raises KeyError for types that have none."""
    fields = describe(type_).fields
    name = name or type_.__name__
    line = _lines(home(type_)).get(name)
    if line is None:
        if fields:
            raise KeyError(f"{type_.__name__} has no protobuf message")
        line = ""  # A message without fields has no numbers to write down.
    members = []
    number = 0
    for token in line.split():
        jump, _, rest = token.rpartition("=")
        number = int(jump) if jump else number + 1
        if rest.startswith("{"):
            members.append(Member(number, inline=rest[1:-1]))
        elif rest != "-":
            name_, mark = (rest[:-2], "[]") if rest.endswith("[]") else rest.partition("|")[::2]
            members.append(Member(number, fields[name_], mark))
    return Message(name, type_, tuple(members))
