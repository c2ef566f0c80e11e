"""Writes `tiphys/api/machinery/protobuf/numbers/`: field numbers of the API's protobuf messages, as far as the types do not say them.

    python tools/protobuf_numbers.py wire-kubernetes-api.tsv

The input has a line for each field: package, message, field, number and type, separated by tabs, as they stand in the API's `.proto`
files. The notation of the output is explained in `tiphys/api/machinery/protobuf/messages.py`. Every field of every type must have a number
whose type fits the Python type; the tool stops at the first that has not.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

import tiphys.api
from tiphys.api.machinery.introspect import Field, Shape, describe

TARGET = Path(__file__).resolve().parents[1] / "tiphys/api/machinery/protobuf/numbers"
_PACKAGES = {
    "meta.v1": "k8s.io.apimachinery.pkg.apis.meta.v1",
    "apiextensions.v1": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1",
    "metrics.v1beta1": "k8s.io.metrics.pkg.apis.metrics.v1beta1",
    "apiregistration.v1": "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1",
}
_MESSAGES = {
    "Time": "time", "MicroTime": "microtime", "Duration": "duration", "Quantity": "quantity", "IntOrString": "intorstring",
    "RawExtension": "any", "JSON": "any", "FieldsV1": "json",
    "JSONSchemaPropsOrArray": "array", "JSONSchemaPropsOrBool": "bool", "JSONSchemaPropsOrStringArray": "strings",
}  # fmt: skip
_SCALARS = {"string": "str", "int32": "int", "int64": "int", "bool": "bool", "bytes": "bytes", "double": "float"}
_UNIONS = ("json", "array", "bool", "strings")


class Wire(NamedTuple):
    number: int
    type: str


Messages = Mapping[tuple[str, str], Mapping[str, Wire]]


def read(path: Path) -> Messages:
    """The fields of all messages, by package and message."""
    found: dict[tuple[str, str], dict[str, Wire]] = defaultdict(dict)
    for line in path.read_text().splitlines()[1:]:
        package, message, field, number, type_ = line.split("\t")
        found[package, message][field] = Wire(int(number), type_)
    return found


def modules() -> dict[str, list[type[msgspec.Struct]]]:
    """The types of every group and version, by `core.v1`."""
    found = {}
    for info in pkgutil.walk_packages(tiphys.api.__path__, "tiphys.api."):
        parts = info.name.split(".")
        if len(parts) == 4 and re.fullmatch(r"v\d+(alpha\d+|beta\d+)?", parts[3]):
            module = importlib.import_module(info.name)
            members = [getattr(module, name) for name in sorted(dir(module))]
            own = [item for item in members if isinstance(item, type) and issubclass(item, msgspec.Struct)]
            found[f"{parts[2]}.{parts[3]}"] = [item for item in own if item.__module__.startswith(info.name)]
    return found


def plain(name: str) -> str:
    """A field's name as both sides agree on it: `Webhooks` and `webhooks`, `xKubernetesMapType` and `x-kubernetes-map-type`."""
    return re.sub("[^a-z0-9]", "", name.lower())


class Lines:
    """The lines of one package."""

    def __init__(self, messages: Messages, package: str) -> None:
        self.messages = messages
        self.package = package
        self.lines: dict[str, str] = {}

    def add(self, message: str, fields: Mapping[str, Field]) -> set[str]:
        """Write the line of a message from the fields of a type; returns the JSON names that it covers."""
        known = {plain(name): field for name, field in fields.items()}
        covered: set[str] = set()
        tokens: list[str] = []
        for name, wire in sorted(self.messages[self.package, message].items(), key=lambda item: item[1].number):
            field = known.get(plain(name))
            if field is None:
                inner = wire.type.removeprefix("optional ")
                if (self.package, inner) not in self.messages:
                    raise SystemExit(f"{self.package} {message}.{name} is not in the types")
                covered |= self.add(inner, fields)
                token = f"{{{inner}}}"
            else:
                covered.add(field.name)
                token = field.name + self._mark(f"{message}.{name}", wire.type, field.shape)
            if len(tokens) < wire.number - 1 and wire.number - len(tokens) > 3:
                token = f"{wire.number}={token}"
                tokens += [""] * (wire.number - 1 - len(tokens))
            tokens += ["-"] * (wire.number - 1 - len(tokens))
            tokens.append(token)
        self.lines[message] = " ".join([message, *(token for token in tokens if token)])
        return covered

    def _mark(self, where: str, type_: str, shape: Shape) -> str:
        """Return the addition to the name in the notation: nothing where the type says enough. Stops when the types disagree."""
        if shape.form == "map" and type_.startswith("map<string,"):
            assert shape.item is not None
            inner = type_[len("map<string,") : -1]
            if shape.item.form == "list":
                return self._expect(where, inner, shape.item, self._wraps(inner))
            return self._mark(where, f"optional {inner}", shape.item)
        if shape.form == "list" and type_.startswith("repeated "):
            assert shape.item is not None
            return self._mark(where, type_.replace("repeated", "optional"), shape.item)
        bare = type_.removeprefix("optional ").rpartition(".")[2]
        if shape.form == "list":
            return self._expect(where, type_, shape, self._wraps(type_.removeprefix("optional "))) or "[]"
        form = _SCALARS.get(bare) or _MESSAGES.get(bare) or "struct"
        if form in _UNIONS and bare in _MESSAGES:
            return f"|{form}"
        named = shape.struct is None or shape.struct.__name__ == bare
        width = not shape.bits or shape.form != "int" or bare == f"int{shape.bits}"
        return self._expect(where, type_, shape, form == shape.form and named and width)

    def _wraps(self, type_: str) -> bool:
        """Return whether a message is nothing but a list of strings."""
        fields = self.messages.get((self.package, type_)) or self.messages.get((type_[1:].rpartition(".")[0], type_.rpartition(".")[2]))
        return fields == {"items": Wire(1, "repeated string")}

    def _expect(self, where: str, type_: str, shape: Shape, fits: bool) -> str:
        if not fits:
            raise SystemExit(f"{self.package} {where} is {type_}, which is no {shape.form}")
        return ""


def main() -> None:
    messages = read(Path(sys.argv[1]))
    for group, types in modules().items():
        package = _PACKAGES.get(group, f"k8s.io.api.{group}")
        lines = Lines(messages, package)
        for type_ in types:
            fields = describe(type_).fields
            if type_.__name__ in _MESSAGES or (package, type_.__name__) not in messages:
                continue
            missing = set(fields) - lines.add(type_.__name__, fields) - {"apiVersion", "kind"}
            if missing:
                raise SystemExit(f"{package} {type_.__name__} has no {', '.join(sorted(missing))}")
        wrapped = (textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) for _, line in sorted(lines.lines.items()))
        text = "\n".join(wrapped)
        name = group.replace(".", "_")
        doc = f'"""Field numbers of {group.replace(".", "/")}, written by tools/protobuf_numbers.py."""'
        (TARGET / f"{name}.py").write_text(f'{doc}\n\nMESSAGES = """\n{text}\n"""\n')


if __name__ == "__main__":
    main()
