"""Options of the command line, bound to fields of settings.

    port: Annotated[int, Option("--secure-port", "HTTPS port of the API server.", minimum=1, maximum=65535)] = 6443

The field's type and default are those of the option, and help shows that default, so neither is stated twice. Settings form a tree: a field
whose type is itself a struct or dataclass is a part of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from tiphys.settings.duration import duration_text

S = TypeVar("S")

Check = Callable[[Any], None]
"""Function that raises ValueError for a value that the setting cannot have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """Option that sets the field it annotates. `help` is one sentence or more, without the default."""

    flag: str
    help: str
    _: dataclasses.KW_ONLY
    metavar: str = ""
    default: str = ""
    """Words for a default that depends on other things or is empty."""
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    is_file: bool = False
    """True for text that names a file, which must exist."""
    is_directory: bool = False
    """True for a path of a directory, or of what is to be one; otherwise paths are those of files, which must exist."""
    is_duration: bool = False
    """True for a number of seconds that is written as a duration, such as 90s or 2m."""
    check: Check | None = None

    @property
    def name(self) -> str:
        """Name of the option as a Python identifier."""
        return self.flag.removeprefix("--").replace("-", "_")


class Field(NamedTuple):
    """Field of a part of the settings. `type` is without annotations and `| None`."""

    name: str
    type: Any
    default: Any
    option: Option | None
    optional: bool
    required: bool


class Bound(NamedTuple):
    """Option and the place in the tree of the field that it sets."""

    path: tuple[str, ...]
    option: Option
    field: Field

    @property
    def help(self) -> str:
        """Help text with the default at the end of its first sentence."""
        text, default = self.option.help, self.default_text
        if not default:
            return text
        first, stop, rest = text.partition(". ")
        return f"{first} ({default}).{' ' if stop else ''}{rest}" if stop else f"{text.removesuffix('.')} ({default})."

    @property
    def default_text(self) -> str:
        """Default as help shows it: `default 6443`, or `default: ` and words; "" for a list that is empty by default."""
        if self.option.default:
            return f"default: {self.option.default}"
        value = text_of(self.field.default, is_duration=self.option.is_duration)
        return f"default {value}" if value else ""


def text_of(value: Any, *, is_duration: bool = False) -> str:
    """Return a value as it is written on the command line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if is_duration:
        return duration_text(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def is_part(type_: Any) -> bool:
    """Return whether a type is a part of the tree, with fields of its own."""
    return isinstance(type_, type) and (issubclass(type_, msgspec.Struct) or dataclasses.is_dataclass(type_))


@cache
def fields(type_: type) -> tuple[Field, ...]:
    """Return the fields of a part, in order of declaration."""
    hints = get_type_hints(type_, include_extras=True)
    return tuple(_field(name, hints[name], default) for name, default in _defaults(type_))


_REQUIRED = object()


def _defaults(type_: type) -> Iterator[tuple[str, Any]]:
    if issubclass(type_, msgspec.Struct):
        for one in msgspec.structs.fields(type_):
            default = one.default if one.default_factory is msgspec.NODEFAULT else one.default_factory()
            yield one.name, _REQUIRED if default is msgspec.NODEFAULT else default
        return
    for field in dataclasses.fields(type_):  # type: ignore[arg-type]
        if field.default_factory is not dataclasses.MISSING:
            yield field.name, field.default_factory()
        else:
            yield field.name, _REQUIRED if field.default is dataclasses.MISSING else field.default


def _field(name: str, hint: Any, default: Any) -> Field:
    option: Option | None = None
    if get_origin(hint) is Annotated:
        option = next((note for note in hint.__metadata__ if isinstance(note, Option)), None)
        hint = hint.__origin__
    optional = False
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
        optional = True
    required = default is _REQUIRED
    return Field(name, hint, None if required else default, option, optional, required)


@cache
def bound(type_: type) -> tuple[Bound, ...]:
    """Return all options of a tree, in the order of its fields."""
    options: list[Bound] = []
    for field in fields(type_):
        if field.option is not None:
            options.append(Bound((field.name,), field.option, field))
        elif is_part(field.type):
            options += [Bound((field.name, *one.path), one.option, one.field) for one in bound(field.type)]
    return tuple(options)


def extended(type_: Callable[..., S], base: Any, **more: Any) -> S:
    """Return settings of a type from those of its base class and the fields that it adds or that differ."""
    values = {field.name: getattr(base, field.name) for field in fields(type(base))}  # type: ignore[arg-type]
    return type_(**{**values, **more})


def replaced(settings: S, **changes: Any) -> S:
    """Return settings with other values of some fields."""
    if isinstance(settings, msgspec.Struct):
        return msgspec.structs.replace(settings, **changes)
    copy: S = dataclasses.replace(settings, **changes)  # type: ignore[type-var]
    return copy


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def pairs_in(text: str) -> dict[str, str]:
    """Return the pairs in a list such as `a=1,b=2`; raises ValueError."""
    pairs: dict[str, str] = {}
    for item in names_in(text):
        key, equal, value = item.partition("=")
        if not equal or not key:
            raise ValueError(f"{item!r} is not of the form key=value")
        pairs[key] = value
    return pairs
