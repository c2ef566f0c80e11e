"""The parameters of operations that many share. Those of the query are the fields of the options that the server decodes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args, get_origin

import msgspec

from tiphys.api.machinery.docs import docs_of
from tiphys.api.machinery.query import plain_type
from tiphys.api.meta.v1.options import CreateOptions, DeleteOptions, ListOptions, PatchOptions


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a path or a query."""

    name: str
    type: str
    text: str
    where: str = "query"


_TYPES = {bool: "boolean", int: "integer", str: "string"}
_NO_PARAMETERS = frozenset(("apiVersion", "kind"))


def of_options(type_: type[msgspec.Struct]) -> tuple[Parameter, ...]:
    """The parameters that set an option type, by name. Times and structs have none in the published documents."""
    texts = docs_of(type_).fields
    parameters = []
    for field in msgspec.structs.fields(type_):
        plain = plain_type(field.type)
        item = get_args(plain)[0] if get_origin(plain) is list else plain
        if item in _TYPES and field.encode_name not in _NO_PARAMETERS:
            parameters.append(Parameter(field.encode_name, _TYPES[item], texts[field.name]))
    return tuple(sorted(parameters, key=lambda parameter: parameter.name))


PATH = Parameter("path", "string", "The path that is asked for behind the proxy.", "path")
PRETTY = Parameter("pretty", "string", "If `true`, the answer is indented.")
NAME = Parameter("name", "string", "The name of the object.", "path")
NAMESPACE = Parameter("namespace", "string", "The namespace of the object.", "path")

(FORCE,) = (parameter for parameter in of_options(PatchOptions) if parameter.name == "force")
(WATCH,) = (parameter for parameter in of_options(ListOptions) if parameter.name == "watch")
LIST = tuple(parameter for parameter in of_options(ListOptions) if parameter != WATCH)
DELETE = of_options(DeleteOptions)
WRITE = of_options(CreateOptions)
