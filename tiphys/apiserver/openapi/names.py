"""Names of types in OpenAPI: `io.k8s.api.core.v1.Pod` for `tiphys.api.core.v1.pod.Pod`, as every client of Kubernetes knows them."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from tiphys.api.machinery.introspect import describe
from tiphys.api.machinery.scheme import GroupVersionKind
from tiphys.apiserver.openapi import custom

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
DURATION = _META + "Duration"
FIELDS = _META + "FieldsV1"
PATCH = _META + "Patch"
LIST_META = _META + "ListMeta"
STATUS = _META + "Status"
DELETE_OPTIONS = _META + "DeleteOptions"
WATCH_EVENT = _META + "WatchEvent"
VERSION = "io.k8s.apimachinery.pkg.version.Info"
_SCHEMA = _PACKAGES["apiextensions"] + ".v1.JSON"
JSON, OR_ARRAY, OR_BOOL, OR_STRINGS = (_SCHEMA + end for end in ("", "SchemaPropsOrArray", "SchemaPropsOrBool", "SchemaPropsOrStringArray"))


_VERSIONS = (
    ("", "v1"),
    ("admission.k8s.io", "v1"),
    ("admissionregistration.k8s.io", "v1"),
    ("apiextensions.k8s.io", "v1"),
    ("apiregistration.k8s.io", "v1"),
    ("apps", "v1"),
    ("authentication.k8s.io", "v1"),
    ("authorization.k8s.io", "v1"),
    ("autoscaling", "v1"),
    ("autoscaling", "v2"),
    ("batch", "v1"),
    ("certificates.k8s.io", "v1"),
    ("coordination.k8s.io", "v1"),
    ("discovery.k8s.io", "v1"),
    ("events.k8s.io", "v1"),
    ("flowcontrol.apiserver.k8s.io", "v1"),
    ("networking.k8s.io", "v1"),
    ("node.k8s.io", "v1"),
    ("policy", "v1"),
    ("rbac.authorization.k8s.io", "v1"),
    ("resource.k8s.io", "v1"),
    ("scheduling.k8s.io", "v1"),
    ("storage.k8s.io", "v1"),
)
"""Group versions in which DeleteOptions and WatchEvent are kinds."""


def gvks_of(type_: type[msgspec.Struct], gvk: GroupVersionKind | None = None) -> list[GroupVersionKind]:
    """The kinds of a type: `gvk` if given, else its own."""
    if gvk is not None:
        return [gvk]
    if definition_name(type_) in (DELETE_OPTIONS, WATCH_EVENT):
        return [GroupVersionKind(group, version, type_.__name__) for group, version in _VERSIONS]
    about = describe(type_)
    if not about.kind or not about.api_version:
        return []
    group, _, version = about.api_version.rpartition("/")
    return [GroupVersionKind(group, version, about.kind)]


def group_word(group: str) -> str:
    """`core`, `apps`, `rbacAuthorization`: how identifiers call a group."""
    first, *rest = (group or "core").removesuffix(".k8s.io").split(".")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def key_of(type_: type[msgspec.Struct]) -> str:
    """`core.v1.Pod`."""
    _, _, group, version, *_ = [*type_.__module__.split("."), "", "", ""]
    return f"{group}.{version}.{type_.__name__}"


def definition_name(type_: type[msgspec.Struct]) -> str:
    """The name of a type's definition. Types from elsewhere than `tiphys.api` are named after their module."""
    model = getattr(type_, "__model__", None)
    if model is not None:
        return custom.definition_name(*model.gvk)
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
    type_ = getattr(module, gvk.kind, None)
    return type_ if isinstance(type_, type) and issubclass(type_, msgspec.Struct) else None
