"""Declared refusals, warnings and dropped fields, tried with each of their samples on a running API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.apiserver.api import NS, PODS, SERVICES, STRATEGIC, Answer, Api, Doc
from tiphys.api.enforcement.entry import Entry
from tiphys.api.enforcement.table import SECTIONS

POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SIZE = {"storage": "1Mi"}
STORAGE: dict[str, tuple[str, Doc]] = {
    "PersistentVolumeClaim": (
        "/api/v1/namespaces/default/persistentvolumeclaims",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": SIZE}},
    ),
    "PersistentVolume": ("/api/v1/persistentvolumes", {"accessModes": ["ReadWriteOnce"], "capacity": SIZE}),
    "CSIDriver": ("/apis/storage.k8s.io/v1/csidrivers", {}),
}
CONTAINER = {"name": "a", "image": "i"}
TOLD = [(section.kind, entry) for section in SECTIONS for entry in section.entries if entry.effect in ("warned", "refused", "dropped")]


def merged(base: Doc, sample: Doc) -> Doc:
    """The sample laid over an object: maps are merged, lists replace, but for containers, which are completed."""
    result = dict(base)
    for key, value in sample.items():
        if key == "containers":
            result[key] = [{**CONTAINER, **item} for item in value]
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            result[key] = merged(base[key], value)
        else:
            result[key] = value
    return result


async def created(api: Api, kind: str, sample: Doc) -> Answer:
    """The answer to making an object of a kind with what the sample says."""
    if kind == "Pod":
        return await api.post(PODS, {"metadata": {"name": "p"}, "spec": merged({"containers": [CONTAINER]}, sample)})
    if kind == "EphemeralContainers":
        await api.post(PODS, {"metadata": {"name": "p"}, "spec": {"containers": [CONTAINER]}})
        return await api.patch(f"{PODS}/p/ephemeralcontainers", {"spec": sample}, STRATEGIC)
    if kind == "Service":
        spec = {key: value for key, value in sample.items() if key != "metadata"}
        body = {"metadata": {"name": "s"}, "spec": merged({"ports": [{"port": 80}]}, spec)}
        return await api.post(SERVICES, merged(body, {"metadata": sample.get("metadata", {})}))
    if kind in STORAGE:
        path, body = STORAGE[kind]
        return await api.post(path, {"metadata": {"name": "s"}, "spec": merged(body, sample)})
    assert kind == "NetworkPolicy"
    return await api.post(POLICIES, {"metadata": {"name": "n"}, "spec": {"podSelector": {}, **sample}})


def ident(value: Any) -> str | None:
    return f"{value.owner.__name__}.{value.field}{value.case or value.keys}" if isinstance(value, Entry) else None


@pytest.mark.parametrize(("kind", "entry"), TOLD, ids=ident)
async def test_declared_fields_are_refused_warned_of_or_dropped(api: Api, kind: str, entry: Entry) -> None:
    assert entry.sample is not None
    answer = await created(api, kind, entry.sample)
    if entry.effect == "refused":
        assert answer.status == 422, answer.body
        assert entry.text in answer.message
        assert entry.field in answer.message
        return
    assert answer.status == 201, answer.body
    if entry.effect == "dropped":
        assert entry.field not in str(answer.doc["spec"])
        return
    told = [warning for warning in answer.warnings if entry.text in warning]
    assert told, answer.warnings
    assert entry.elsewhere or any(entry.field in warning for warning in told)


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("Pod", {}),
        (
            "Pod",
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "w", "csi": {"driver": "d.example.com"}}]},
        ),
        ("Service", {}),
        ("PersistentVolumeClaim", {}),
        ("PersistentVolume", {"csi": {"driver": "d.example.com", "volumeHandle": "h"}}),
        ("CSIDriver", {"seLinuxMount": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
async def test_objects_with_what_works_are_created_without_warnings(api: Api, kind: str, sample: Doc) -> None:
    answer = await created(api, kind, sample)
    assert (answer.status, answer.warnings) == (201, [])


async def test_templates_of_pods_bring_the_same_warnings(api: Api) -> None:
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER], "hostUsers": False}}
    made = await api.post(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": labels}, "template": template}})
    assert made.status == 201
    assert any("spec.template.spec.hostUsers: the container runtime has no user namespaces" in one for one in made.warnings)


async def test_namespaces_say_by_labels_what_pods_may_ask_for(api: Api) -> None:
    """The labels of the declaration are those that count."""
    keys = [entry.keys for section in SECTIONS if section.kind == "Namespace" for entry in section.entries]
    labels = {key: "latest" if key.endswith("version") else "restricted" for key in keys}
    assert (await api.patch(NS, {"metadata": {"labels": labels}}, STRATEGIC)).status == 200
    refused = await created(api, "Pod", {})
    assert refused.status == 403
    assert 'violates PodSecurity "restricted:latest"' in refused.message
