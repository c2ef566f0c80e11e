"""Contents of a namespace that is deleted, and its conditions."""

from __future__ import annotations

from tests.unit.controllers.make import NOW, ago, pod
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.namespace import plan as namespaces


def test_content_kinds_are_each_storage_once_pods_first_and_events_last() -> None:
    kinds = namespaces.content_kinds(SCHEME)
    resources = [kind.resource for kind in kinds]
    assert len(resources) == len(set(resources))
    assert {"pods", "deployments.apps", "secrets", "endpointslices.discovery.k8s.io"} <= set(resources)
    assert not {"namespaces", "nodes", "clusterroles.rbac.authorization.k8s.io"} & set(resources)
    assert (kinds[0].plural, kinds[-1].plural) == ("pods", "events")


def test_an_empty_namespace_says_so_and_what_is_left_is_listed() -> None:
    terminating = core.Namespace(metadata=ObjectMeta(name="n", deletionTimestamp=NOW))
    empty = namespaces.summarize({"pods": []}, {})
    assert empty.is_empty
    assert {c.status for c in namespaces.status(terminating, empty, NOW).conditions} == {"False"}
    held = [pod("a"), pod("b")]
    held[0].metadata.finalizers = ["example.com/x"]
    full = namespaces.summarize({"pods": held}, {"secrets": "secrets: forbidden"})
    found = {c.type: (c.status, c.message) for c in namespaces.status(terminating, full, NOW).conditions}
    assert found["NamespaceContentRemaining"] == ("True", "Some resources are remaining: pods has 2 resource instances")
    assert found["NamespaceDeletionContentFailure"] == (
        "True", "Failed to delete all resource types, 1 remaining: secrets: forbidden",
    )  # fmt: skip
    assert found["NamespaceFinalizersRemaining"][1].endswith("finalizers remaining: example.com/x in 1 resource instances")
    terminating.status = namespaces.status(terminating, full, NOW)
    assert namespaces.status(terminating, full, ago(-60)) == terminating.status
