"""How OpenAPI calls types: `io.k8s.api.core.v1.Pod` for `tiphys.api.core.v1.pod.Pod`, as every client of Kubernetes knows them."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from tiphys.api.scheme import GroupVersionKind

_PACKAGES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}
_META = _PACKAGES["meta"] + ".v1."

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
RAW = "io.k8s.apimachinery.pkg.runtime.RawExtension"
TIME = _META + "Time"
MICRO_TIME = _META + "MicroTime"
FIELDS = _META + "FieldsV1"
PATCH = _META + "Patch"
LIST_META = _META + "ListMeta"
STATUS = _META + "Status"
DELETE_OPTIONS = _META + "DeleteOptions"
WATCH_EVENT = _META + "WatchEvent"


def key_of(type_: type[msgspec.Struct]) -> str:
    """`core.v1.Pod`."""
    _, _, group, version, *_ = [*type_.__module__.split("."), "", "", ""]
    return f"{group}.{version}.{type_.__name__}"


def definition_name(type_: type[msgspec.Struct]) -> str:
    """The name of a type's definition. Types from elsewhere than `tiphys.api` are named after their module."""
    parts = type_.__module__.split(".")
    if parts[:2] != ["tiphys", "api"] or len(parts) < 4:
        return f"{type_.__module__}.{type_.__name__}"
    _, _, group, version, *_ = parts
    return f"{_PACKAGES.get(group, f'io.k8s.api.{group}')}.{version}.{type_.__name__}"


def type_of(gvk: GroupVersionKind) -> type[msgspec.Struct] | None:
    """The wire type of a kind that is spoken by a subresource, registered or not; None where there is no such type."""
    package = gvk.group.partition(".")[0] or "core"
    if gvk.group.startswith("flowcontrol"):
        package = "flowcontrol"
    try:
        module: Any = importlib.import_module(f"tiphys.api.{package}.{gvk.version}")
    except ImportError:
        return None
    found = getattr(module, gvk.kind, None)
    return found if isinstance(found, type) and issubclass(found, msgspec.Struct) else None
