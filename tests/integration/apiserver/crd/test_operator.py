"""A definition as large as those of real operators, and the life of one object of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.apiserver.api import Api, Doc
from tests.integration.apiserver.crd.made import DEFINITIONS, conditions
from tiphys.testing.eventually import eventually

ISSUANCES = "/apis/pki.example.com/v1/namespaces/default/issuances"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


def issuance(name: str = "web", **spec: Any) -> Doc:
    wanted = {"issuerRef": {"name": "ca"}, "secretName": "web-tls", **spec}
    return {"apiVersion": "pki.example.com/v1", "kind": "Issuance", "metadata": {"name": name}, "spec": wanted}


async def install(api: Api) -> None:
    text = (Path(__file__).parent / "issuances.yaml").read_bytes()
    answer = await api.send("POST", f"{DEFINITIONS}?fieldValidation=Strict", text, content_type="application/yaml")
    assert answer.status == 201, answer.body

    async def established() -> bool:
        return (await conditions(api, "issuances.pki.example.com")).get("Established") == ("True", "InitialNamesAccepted")

    await eventually(established)


async def test_the_life_of_an_object(api: Api) -> None:
    await install(api)
    solvers = [
        {"name": "http", "podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}, "config": [1, {"x": None}]},
        {"name": "dns", "port": "dns", "weight": 0.5, "resources": {"limits": {"cpu": "100m", "memory": 1}}},
    ]
    extra = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}]
    made = await api.patch(
        f"{ISSUANCES}/web?fieldManager=me&fieldValidation=Strict",
        issuance(dnsNames=["*.example.com"], ipAddresses=["::1"], solvers=solvers, extra=extra, note=None),
        media=APPLY,
    )
    assert made.status == 201, made.body
    spec = made.doc["spec"]
    assert spec["privateKey"] == {"algorithm": "ECDSA", "rotationPolicy": "Always"}
    assert spec["issuerRef"] == {"name": "ca", "kind": "Issuer"}
    assert [solver["port"] for solver in spec["solvers"]] == [8089, "dns"]
    assert (spec["usages"], spec["note"], spec["replicas"]) == (["digital signature", "key encipherment"], None, 1)
    assert spec["extra"] == extra
    ready = {"type": "Ready", "status": "True", "reason": "Issued", "message": "fine", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"conditions": [ready], "renewalTime": "2026-02-01T00:00:00Z", "revision": 1}
    assert (await api.patch(f"{ISSUANCES}/web/status", {"status": status})).doc["status"] == status
    row = (await api.get(ISSUANCES, accept=TABLE)).doc["rows"][0]["cells"]
    assert row[:5] == ["web", "True", "web-tls", "ca", "fine"]
    assert (await api.get(f"{ISSUANCES}?fieldSelector=spec.issuerRef.name=ca,spec.issuerRef.kind=Issuer")).names == ["web"]
    older = await api.get(f"{ISSUANCES.replace('/v1/', '/v1alpha2/')}/web")
    assert older.doc["spec"] == spec
    assert older.warnings == ['299 - "pki.example.com/v1alpha2 Issuance goes with the next release; use pki.example.com/v1"']
    grown = await api.patch(f"{ISSUANCES}/web/scale", {"spec": {"replicas": 3}})
    assert grown.doc["spec"] == {"replicas": 3}


async def test_reports_all_mistakes_at_once(api: Api) -> None:
    await install(api)
    wrong = issuance(
        secretName="",
        dnsNames=["-a", "b", "b"],
        ipAddresses=["nowhere"],
        renewBeforePercentage=100,
        privateKey={"algorithm": "RSA", "size": 1000},
        solvers=[{"name": "a", "weight": 1, "resources": {"limits": {"cpu": "many"}}}, {"name": "a"}],
        extra=[{"kind": "ConfigMap"}],
    )
    del wrong["spec"]["issuerRef"]
    refused = await api.post(ISSUANCES, wrong)
    assert refused.status == 422
    fields = [cause["field"] for cause in refused.doc["details"]["causes"]]
    for field in (
        *("spec.issuerRef", "spec.secretName", "spec.dnsNames[0]", "spec.dnsNames[2]", "spec.ipAddresses[0]"),
        *("spec.renewBeforePercentage", "spec.solvers[0].weight", "spec.solvers[0].resources.limits.cpu", "spec.solvers[1]"),
        "spec.extra[0].apiVersion",
    ):
        assert field in fields, (field, fields)
    assert '"spec.privateKey" must validate one and only one schema (oneOf). Found none valid' in refused.message
    assert (await api.post(ISSUANCES, issuance(privateKey={"algorithm": "Ed25519"}))).status == 201
