"""Fields that a write through the object or a subresource cannot set belong to nobody who sends them there (KEP-555)."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.apply.managers import without
from tiphys.api.machinery.scheme import METADATA_STAYS, Kind

SPEC, STATUS = ("spec",), ("status",)
EXCEPTIONS: dict[str, Any] = {
    "certificatesigningrequests.certificates.k8s.io": {
        "": (SPEC, STATUS), "status": (SPEC, ("status", "conditions")), "approval": (SPEC, ("status", "certificate")),
    },
    "deployments.apps": {"": (STATUS,), "status": (SPEC, ("metadata", "labels"))},
    "pods": {"": (STATUS,), "status": (SPEC, ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences"))},
    **dict.fromkeys(
        ("servicecidrs.networking.k8s.io", "resourceclaims.resource.k8s.io", "volumeattachments.storage.k8s.io",
         "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
         "validatingadmissionpolicies.admissionregistration.k8s.io", "apiservices.apiregistration.k8s.io"),
        METADATA_STAYS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in SCHEME if kind.has_status], ids=lambda kind: kind.ident)
def test_every_kind_resets_the_fields_that_kubernetes_resets(kind: Kind[Any]) -> None:
    expected = EXCEPTIONS.get(kind.resource, {"": (STATUS,), "status": (SPEC,)})
    assert dict(kind.rules.resets) == expected


def test_a_path_takes_what_is_below_it_along() -> None:
    fields = {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:status": {"f:phase": {}, "f:conditions": {}}}
    assert without(fields, [("metadata", "labels"), ("status", "phase")]) == {"f:status": {"f:conditions": {}}}
    assert without(fields, [("spec",), ("status", "certificate")]) is fields
    assert fields["f:metadata"], "the argument stays as it is"
