"""Functions that expressions can call, as data: declared types for the checker, one Python function for the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Type = str
"""Name of a type: `bool`, `int`, `uint`, `double`, `string`, `bytes`, `dyn`, `duration`, `timestamp`, `list(T)`, `map(K, V)`, or the full
name of an opaque type of a library."""


class Overload(NamedTuple):
    """One signature of a function."""

    name: str
    parameters: tuple[Type, ...]
    result: Type
    call: Callable[..., Any]
    """Computes the result. A ValueError is an error of the evaluation, with its text."""
    member: bool = True
    """True if the first parameter stands before the name: `a.add(b)`."""


class Opaque(NamedTuple):
    """A type whose values only functions look into. Values with equal texts are equal, so the text must be canonical."""

    name: str
    """Full name, such as `kubernetes.Quantity`."""
    read: Callable[[str], Any]
    """Makes the Python value of a text."""
    write: Callable[[Any], str]
    """Makes the text of a Python value."""
    python: type
    """The class of its values in Python."""


class Library(NamedTuple):
    """Types and functions that belong together."""

    overloads: tuple[Overload, ...]
    opaque: tuple[Opaque, ...] = ()
    costs: Mapping[str, int] = {}
    """Cost of a call by the function's name; 1 for the others."""
