"""Types described as data."""

from __future__ import annotations

import importlib
import pkgutil

import msgspec

import tiphys.api
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Atomic, MapList, Patch, SetList, Struct
from tiphys.api.machinery.docs import docs_of
from tiphys.api.machinery.introspect import describe
from tiphys.api.meta import v1 as meta
from tiphys.api.networking import v1 as networking


def wire_types() -> set[type[msgspec.Struct]]:
    found: set[type[msgspec.Struct]] = set()
    for module in pkgutil.walk_packages(tiphys.api.__path__, "tiphys.api."):
        parts = module.name.split(".")
        if len(parts) > 3 and parts[3][:1] == "v" and parts[3][1:].isdigit():
            values = vars(importlib.import_module(module.name)).values()
            found |= {value for value in values if isinstance(value, type) and issubclass(value, Struct)}
    return found


def test_every_wire_type_can_be_described() -> None:
    types = wire_types()
    assert len(types) > 500
    for type_ in types:
        about = describe(type_)
        assert {field.attr for field in about.fields.values()} == set(type_.__struct_fields__)
        docs_of(type_)


def test_fields() -> None:
    fields = describe(core.PodSpec).fields
    containers = fields["containers"]
    assert (containers.shape.form, containers.always, containers.nullable) == ("list", True, False)
    assert containers.shape.item is not None
    assert containers.shape.item.struct is core.Container
    assert containers.semantics == MapList("name")
    assert containers.patch == Patch("merge", "name")
    assert (fields["activeDeadlineSeconds"].shape.bits, fields["activeDeadlineSeconds"].nullable) == (64, True)
    assert fields["priority"].shape.bits == 32
    assert describe(core.Event).fields["count"].shape.bits == 32
    assert describe(meta.ObjectMeta).fields["finalizers"].semantics == SetList()
    assert describe(core.Container).fields["args"].semantics == Atomic()
    assert describe(core.ResourceRequirements).fields["limits"].shape.item is not None
    assert fields["hostNetwork"].default is False


def test_names_that_python_reserves() -> None:
    assert describe(networking.NetworkPolicyIngressRule).fields["from"].attr == "from_"


def test_structs_that_are_replaced_whole() -> None:
    assert describe(apps.DeploymentSpec).fields["selector"].atomic
    assert not describe(apps.DeploymentSpec).fields["template"].atomic


def test_kinds_know_what_they_are() -> None:
    about = describe(apps.Deployment)
    assert (about.api_version, about.kind) == ("apps/v1", "Deployment")
    assert describe(meta.DeleteOptions).kind == ""


def test_documentation_is_inherited() -> None:
    assert "type" in docs_of(core.Pod).fields["kind"]
    assert docs_of(meta.KubeObject).text.startswith("Base of all kinds")
    assert docs_of(core.Pod).text != docs_of(meta.KubeObject).text
