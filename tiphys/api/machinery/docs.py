"""The documentation of wire types, read from where it is written: the string below each field, and the docstring of the class.

Strings below attributes do not survive compilation, so the source of a type's module is parsed when someone asks, and the texts are kept.
Without a source file (a frozen build) there is simply no documentation.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True)
class TypeDocs:
    """Documentation of a type, and of its fields by attribute name."""

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


_NOTHING = TypeDocs()


def docs_of(type_: type[msgspec.Struct]) -> TypeDocs:
    """The documentation of a type; fields that a base class declares are documented there unless the type says more."""
    text = ""
    fields: dict[str, str] = {}
    for cls in reversed(type_.__mro__):
        if cls.__module__.startswith("tiphys."):
            own = _module(cls.__module__).get(cls.__qualname__, _NOTHING)
            text = own.text if cls is type_ else ""
            fields.update(own.fields)
    return TypeDocs(text, fields)


@cache
def _module(name: str) -> Mapping[str, TypeDocs]:
    """The documentation of every class at the top level of a module."""
    path = getattr(sys.modules.get(name), "__file__", None)
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8")) if path else ast.Module([], [])
    except (OSError, SyntaxError, UnicodeDecodeError):
        return {}
    return {node.name: _class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _class(node: ast.ClassDef) -> TypeDocs:
    fields: dict[str, str] = {}
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = _string(following)
            if text:
                fields[statement.target.id] = text
    return TypeDocs(ast.get_docstring(node) or "", fields)


def _string(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
        return inspect.cleandoc(statement.value.value)
    return ""
