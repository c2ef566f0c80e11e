"""Configuration files: documents of upstream's kinds, read strictly, as layers of settings.

A kind is a wire type with all of upstream's fields, so that a misspelled field differs from one that Tiphys does not support. What a
field does here is in its annotation: it `Sets` settings, it can have `Only` the value that Tiphys works by, or Tiphys `Shows` it and
chooses it itself. A field without annotation is not supported. None of them is ignored: a value that would have no effect is a problem.
The zero values by which upstream's types write "not set" (0s, "", false) are none, unless the field can tell them apart (`T | None`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, get_origin, get_type_hints, runtime_checkable

import msgspec

from tiphys.api.machinery.conform import LIMIT, Walk, name_of, zero
from tiphys.api.machinery.introspect import Description, Shape, describe
from tiphys.api.machinery.yamldoc import YAMLError, load
from tiphys.settings.layers import nest, to_builtins
from tiphys.settings.option import bound
from tiphys.settings.parse import check, check_range

_SEPARATOR = re.compile(rb"^---(?:[ \t].*)?$", re.MULTILINE)
_EMPTY: tuple[Any, ...] = (None, "", "0", "0s", 0, False, [], {})


class ConfigurationError(ValueError):
    """Values inside a field that cannot be used: the path of each below the field, and the message."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(message for _, message in self.faults))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Sets:
    """Annotation of a field that sets settings. `paths` are places in the tree, such as `kubelet.max_pods`.

    `read` turns the field's value into that of the setting (a tuple of them for several paths, None for one to be left alone) and raises
    ValueError or ConfigurationError; `show` turns the setting's value back.
    """

    paths: tuple[str, ...]
    read: Callable[[Any], Any] = _same
    show: Callable[[Any], Any] = _same

    def __init__(self, *paths: str, read: Callable[[Any], Any] = _same, show: Callable[[Any], Any] = _same) -> None:
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "read", read)
        object.__setattr__(self, "show", show)

    def values(self, value: Any) -> dict[tuple[str, ...], Any]:
        """Return the values of the settings by their paths."""
        read = self.read(value)
        values = (read,) if len(self.paths) == 1 else read
        return {tuple(path.split(".")): one for path, one in zip(self.paths, values, strict=True) if one is not None}


@dataclass(frozen=True, slots=True)
class Only:
    """Annotation of a field that can have only the value by which Tiphys works. Values are compared by their `key`."""

    value: Any
    key: Callable[[Any], Any] = _same


@dataclass(frozen=True, slots=True)
class Shows:
    """Annotation of a field that Tiphys chooses itself, by the settings, and only shows."""

    of: Callable[[Any], Any]


Role = Sets | Only | Shows | None


@cache
def roles(type_: type[msgspec.Struct]) -> Mapping[str, Role]:
    """Return what each field of a kind does, by its name on the wire."""
    hints = get_type_hints(type_, include_extras=True)
    return {name: _role(hints[about.attr]) for name, about in describe(type_).fields.items()}


def _role(hint: Any) -> Role:
    notes = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return next((note for note in notes if isinstance(note, Sets | Only | Shows)), None)


@runtime_checkable
class Contradictable(Protocol):
    """Kind whose fields, each right by itself, can be wrong together."""

    def contradictions(self) -> Iterable[tuple[str, str]]:
        """Yield what is wrong, each with the field's path."""


@dataclass(slots=True)
class Reading:
    """Outcome of reading files: the values by their paths in the tree, and everything that is wrong."""

    values: dict[tuple[str, ...], Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class _PlainWalk(Walk):
    """Walk that says in plain words what is wrong, and remembers where."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[tuple[str, str]] = []
        self.unusable: list[str] = []
        """Paths of values that are not of their type."""

    def problem(self, what: str, path: str) -> None:
        """Note an unknown field. The parser reports repeated ones, with their lines."""
        if what == "unknown":
            self._note(path, "this kind has no such field: remove it or correct its name")

    def _mismatch(self, shape: Shape, value: Any, path: str, owner: Description) -> Any:
        self.unusable.append(path)
        self._note(path, f"it must be {_words(shape)}, not {_article(name_of(value, shape))}")
        return zero(shape)

    def _note(self, path: str, text: str) -> None:
        if len(self.faults) < LIMIT:
            self.faults.append((path, text))
            self.mistake(text)


_WORDS = {"str": "text", "bool": "true or false", "float": "a number", "list": "a list", "quantity": "a quantity such as 100m or 1Gi"}


def _words(shape: Shape) -> str:
    if shape.form == "int":
        return f"a whole number of {shape.bits} bits"
    return _WORDS.get(shape.form, "an object")


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'ao' else 'a'} {name}"


def read_documents(path: Path, kinds: Mapping[tuple[str, str], type[msgspec.Struct]], tree: type) -> dict[str, Any]:
    """Return the layer of settings that a file sets, by the kinds of its documents.

    Raises OSError, and ConfigurationError with all problems.
    """
    reading, seen = Reading(), set[tuple[str, str]]()
    for number, text in enumerate(_SEPARATOR.split(path.read_bytes()), 1):
        try:
            parsed = load(text)
        except YAMLError as error:
            reading.problems.append(f"document {number}: {error}")
            continue
        document = parsed.document
        if document is None:
            continue
        if not isinstance(document, dict):
            reading.problems.append(f"document {number}: it must be an object with apiVersion and kind")
            continue
        ident = (str(document.get("apiVersion") or ""), str(document.get("kind") or ""))
        type_ = kinds.get(ident)
        if type_ is None:
            known = ", ".join(f"{kind} of {version}" for version, kind in kinds)
            reading.problems.append(f'document {number}: kind "{ident[1]}" of apiVersion "{ident[0]}" is not read here, only {known}')
        elif ident in seen:
            reading.problems.append(f"document {number}: there is a {ident[1]} already: join them")
        else:
            seen.add(ident)
            reading.problems += [f"document {number}: {text}: remove one" for text in parsed.repetitions]
            reading.problems += _read(type_, document, reading.values, tree)
    if reading.problems:
        raise ConfigurationError((str(path), problem) for problem in reading.problems)
    return nest(reading.values)


def _read(type_: type[msgspec.Struct], document: dict[str, Any], values: dict[tuple[str, ...], Any], tree: type) -> list[str]:
    """Add the settings of one document to the values; return what is wrong with it."""
    more, faults = read_object(type_, document, tree)
    values.update(more)
    return [f"{describe(type_).kind}: {path}: {message}" for path, message in faults]


def read_object(
    type_: type[msgspec.Struct], document: dict[str, Any], tree: type | None = None
) -> tuple[dict[tuple[str, ...], Any], list[tuple[str, str]]]:
    """Return the values that an object sets, by their paths, and what is wrong with it, each with the field's path.

    Values are checked as those of the options that set the same field of `tree`.
    """
    walk = _PlainWalk()
    config = walk.struct(type_, document, "")
    options = {one.path: one.option for one in bound(tree)} if tree is not None else {}
    values: dict[tuple[str, ...], Any] = {}
    faults = walk.faults
    for name, constant in (("apiVersion", describe(type_).api_version), ("kind", describe(type_).kind)):
        if document.get(name, constant) != constant:
            faults.append((name, f"it must be {constant}"))
    for path, role, value in _set_fields(config, "", walk.unusable):
        try:
            more = _values(role, value)
            for place, one in more.items():
                if place in options:
                    check(options[place], one)
            values.update(more)
        except ConfigurationError as error:
            faults += [(f"{path}{below}", message) for below, message in error.faults]
        except ValueError as error:
            faults.append((path, str(error)))
    if isinstance(config, Contradictable) and not walk.unusable:
        faults += config.contradictions()
    return values, faults


def _values(role: Role, value: Any) -> dict[tuple[str, ...], Any]:
    """Return the settings that a field sets; raises ValueError for a value that it cannot have."""
    if isinstance(role, Sets):
        return role.values(value)
    if role is None:
        raise ValueError("Tiphys does not support this field: remove it")
    if isinstance(role, Shows):
        raise ValueError("Tiphys chooses this itself: remove the field")
    if role.key(to_builtins(value)) != role.key(role.value):
        raise ValueError(f"Tiphys supports only {_format(role.value)} here: set it to that, or remove the field")
    return {}


def _set_fields(config: msgspec.Struct, above: str, wrong: Iterable[str]) -> Iterator[tuple[str, Role, Any]]:
    """Yield the path, the role and the value of every field that a document sets."""
    for name, about in describe(type(config)).fields.items():
        value, path = getattr(config, about.attr), f"{above}.{name}" if above else name
        unset = value is None or (value in _EMPTY and not about.nullable)
        if name in ("apiVersion", "kind") or unset or any(_is_within(one, path) for one in wrong):
            continue
        role = roles(type(config))[name]
        if role is None and isinstance(value, msgspec.Struct):
            yield from _set_fields(value, path, wrong)
        else:
            yield path, role, value


def _is_within(inner: str, path: str) -> bool:
    return inner == path or inner.startswith((f"{path}.", f"{path}["))


def existing_file(text: str) -> Path:
    """Return the path of a file; raises ValueError when it is relative or leads to none."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{text} is not an absolute path")
    if not path.is_file():
        raise ValueError(f"file {text} does not exist")
    return path


def whole(minimum: int, maximum: int | None = None) -> Callable[[int], int]:
    """Return a reader of numbers in a range."""

    def read(value: int) -> int:
        check_range(value, minimum, maximum)
        return value

    return read


def _format(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | dict | list) else str(value)


def render(type_: type[msgspec.Struct], settings: Any) -> dict[str, Any]:
    """Return the document of a kind that shows the settings in force; fields that are not supported are left out.

    A setting is read from the attribute that its path ends with.
    """
    document: dict[str, Any] = {}
    for name, about in describe(type_).fields.items():
        role = roles(type_)[name]
        if name in ("apiVersion", "kind"):
            document[name] = about.default
        elif isinstance(role, Only):
            document[name] = role.value
        elif isinstance(role, Shows):
            document[name] = role.of(settings)
        elif isinstance(role, Sets):
            attributes = [getattr(settings, path.rpartition(".")[2]) for path in role.paths]
            document[name] = to_builtins(role.show(attributes[0] if len(attributes) == 1 else attributes))
        elif about.shape.struct is not None and (inner := render(about.shape.struct, settings)):
            document[name] = inner
    return document
