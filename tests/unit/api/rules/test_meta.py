"""Metadata, the same for every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.names import dns_subdomain
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.rules import meta


def errors(namespaced: bool = True, **fields: Any) -> list[str]:
    whole: dict[str, Any] = {"name": "web", "namespace": "default" if namespaced else "", **fields}
    return [str(e) for e in meta.validate(ObjectMeta(**whole), namespaced=namespaced, name_rule=dns_subdomain)]


def test_names_and_namespaces() -> None:
    assert errors() == []
    assert errors(name="") == ["metadata.name: Required value: name or generateName is required"]
    assert errors(generateName="web-") == []
    assert errors(generateName="Web-")[0].startswith('metadata.generateName: Invalid value: "Web-": a lowercase RFC 1123 subdomain')
    assert errors(namespace="") == ["metadata.namespace: Required value"]
    assert errors(namespaced=False) == []
    assert errors(namespaced=False, namespace="a") == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_labels_and_annotations() -> None:
    assert errors(labels={"a.b/C": "d", "e": ""}, annotations={"A/B": "anything at all"}) == []
    assert len(errors(labels={"-": "-"})) == 2
    assert errors(annotations={"a": "x" * 262144}) == ["metadata.annotations: Too long: may not be more than 262144 bytes"]


def test_finalizers_and_owners() -> None:
    assert errors(finalizers=["a.b/c", "foregroundDeletion"]) == []
    assert "finalizer orphan and foregroundDeletion cannot be both set" in errors(finalizers=["orphan", "foregroundDeletion"])[0]
    owner = OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name="a", uid="1", controller=True)
    assert errors(ownerReferences=[owner]) == []
    assert "Only one reference can have Controller set to true" in errors(ownerReferences=[owner, owner])[0]
    assert len(errors(ownerReferences=[OwnerReference()])) == 4


def test_finalizers_without_a_domain_are_those_of_kubernetes() -> None:
    said = "name is neither a standard finalizer name nor is it fully qualified"
    names = ["a.b/c", "kubernetes", "orphan", "example", "a.b"]
    old = ObjectMeta(name="web", namespace="default", uid="1")
    new = ObjectMeta(name="web", namespace="default", uid="1", finalizers=names)
    found = meta.validate(new, namespaced=True, name_rule=dns_subdomain, standard=True)
    assert [(e.field, e.value, e.detail) for e in found] == [
        ("metadata.finalizers[3]", "example", said),
        ("metadata.finalizers[4]", "a.b", said),
    ]
    assert meta.validate_update(new, old, standard=True) == found
    assert meta.validate_update(new, new, standard=True) == meta.validate_update(new, old) == []


def test_kinds_that_take_any_finalizer() -> None:
    """They use the machinery's rules for metadata and not those of the core group."""
    assert {kind.resource for kind in SCHEME if not kind.rules.names_finalizers} == {
        "apiservices.apiregistration.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "events",
        "leases.coordination.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "poddisruptionbudgets.policy",
        "runtimeclasses.node.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }


def test_names_that_are_judged_by_themselves() -> None:
    """Some kinds are judged by the name that is made from the prefix only, and some take any segment of a path."""
    new = ObjectMeta(name="web", namespace="default", generateName="Bad_")
    assert meta.validate(new, namespaced=True, name_rule=dns_subdomain, prefix=False) == []
    assert {kind.resource for kind in SCHEME if not kind.rules.judges_prefix} == {"deviceclasses.resource.k8s.io", "replicationcontrollers"}
    for resource in ("poddisruptionbudgets.policy", "events"):
        (kind,) = (kind for kind in SCHEME if kind.resource == resource)
        assert (kind.rules.validate_name("Bad_"), kind.rules.validate_name("a/b")) == ("", "may not contain '/'")


def test_updates() -> None:
    old = ObjectMeta(name="web", namespace="default", uid="1", finalizers=["a.b/c"])
    assert meta.validate_update(ObjectMeta(name="web", namespace="default", uid="1", labels={"a": "b"}), old) == []
    assert [str(e) for e in meta.validate_update(ObjectMeta(name="db", namespace="default", uid="1"), old)] == [
        'metadata.name: Invalid value: "db": field is immutable'
    ]
    old.deletionTimestamp = datetime(2026, 1, 1, tzinfo=UTC)
    new = ObjectMeta(name="web", namespace="default", uid="1", finalizers=["a.b/d"], deletionTimestamp=old.deletionTimestamp)
    assert "no new finalizers can be added if the object is being deleted" in str(meta.validate_update(new, old)[0])
    new.finalizers = []
    assert meta.validate_update(new, old) == []
