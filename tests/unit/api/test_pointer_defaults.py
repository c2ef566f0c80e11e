"""Defaults of fields that upstream holds by pointer: an empty text is not an absent one, and most are refused for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tiphys.api.kinds import SCHEME

TEMPLATE = {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}, "volumeMode": ""}
RULES = [{"apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["x"], "operations": ["CREATE"]}]
HOOK = {"name": "a.b.c", "clientConfig": {"url": "https://x/"}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
POLICY = {"matchConstraints": {"resourceRules": RULES, "matchPolicy": ""}, "validations": [{"expression": "true"}], "failurePolicy": ""}


@pytest.mark.parametrize(
    ("resource", "body", "fields"),
    [
        ("jobs.batch", {"spec": {**TEMPLATE, "completionMode": ""}}, ["spec.completionMode"]),
        ("services", {"spec": {"ports": [{"port": 80}], "ipFamilyPolicy": ""}}, ["spec.ipFamilyPolicy"]),
        ("persistentvolumeclaims", {"spec": CLAIM}, ["spec.volumeMode"]),
        ("storageclasses.storage.k8s.io", {"provisioner": "a.b", "volumeBindingMode": ""}, ["volumeBindingMode"]),
        (
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
            {"webhooks": [{**HOOK, "failurePolicy": "", "matchPolicy": "", "reinvocationPolicy": ""}]},
            ["webhooks[0].failurePolicy", "webhooks[0].matchPolicy", "webhooks[0].reinvocationPolicy"],
        ),
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            {"spec": POLICY},
            ["spec.failurePolicy", "spec.matchConstraints.matchPolicy"],
        ),
    ],
)
def test_an_empty_text_is_refused(resource: str, body: dict[str, Any], fields: list[str]) -> None:
    (kind,) = (kind for kind in SCHEME if kind.resource == resource)
    obj = msgspec.convert({"metadata": {"name": "a"}, **body}, kind.type)
    kind.rules.default(obj)
    kind.rules.prepare_create(obj)
    errors = {error.field: error.body() for error in kind.rules.validate(obj)}
    assert [errors.get(field, "")[:21] for field in fields] == ['Unsupported value: ""'] * len(fields), errors


def test_a_reclaim_policy_may_be_empty() -> None:
    (kind,) = (kind for kind in SCHEME if kind.resource == "storageclasses.storage.k8s.io")
    obj = msgspec.convert({"provisioner": "a.b", "reclaimPolicy": ""}, kind.type)
    kind.rules.default(obj)
    assert obj.reclaimPolicy == ""
