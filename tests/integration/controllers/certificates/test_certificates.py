"""Certificate signing requests from the request to the certificate: the API, who may decide and sign, and the controllers."""

from __future__ import annotations

import msgspec
import pytest
from cryptography import x509

from tests.integration.controllers.conftest import Cluster
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.api.machinery.errors import Forbidden, Invalid, NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from tiphys.client.client import Client
from tiphys.controllers.certificates.settings import SigningSettings
from tiphys.controllers.settings import ControllerSettings
from tiphys.testing import eventually
from tiphys.testing.csr import request_pem, signing_request

SIGNER = "example.com/e2e"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
CLIENT = ("digital signature", "client auth")
APPROVED = CertificateSigningRequestCondition(type="Approved", status="True", reason="E2E", message="Set from a test")


async def approve(client: Client, csr: CertificateSigningRequest) -> CertificateSigningRequest:
    csr.status.conditions = [*csr.status.conditions, APPROVED]
    return await client.update(csr, subresource="approval")


async def test_the_api_of_signing_requests(cluster: Cluster) -> None:
    client = cluster.client
    served = msgspec.json.decode((await client.raw("GET", "/apis/certificates.k8s.io/v1")).body)["resources"]
    names = {found["name"] for found in served}
    assert {f"certificatesigningrequests{sub}" for sub in ("", "/approval", "/status")} <= names
    wanted = signing_request(request_pem("e2e.example.com", names=["e2e.example.com"]), SIGNER, (*CLIENT, "key encipherment"), seconds=3600)
    wanted.metadata = ObjectMeta(generateName="e2e-example-csr-")
    made = [await client.create(wanted) for _ in range(3)][-1]
    name = made.metadata.name
    assert (made.spec.username, made.spec.groups) == ("admin", ["system:masters", "system:authenticated"])
    assert made.spec.expirationSeconds == 3600
    assert len((await client.list(CertificateSigningRequest, fields=f"spec.signerName={SIGNER}")).items) == 3
    assert not (await client.list(CertificateSigningRequest, fields="spec.signerName=example.com/none")).items
    patched = await client.patch(
        CertificateSigningRequest, name, body={"metadata": {"annotations": {"a": "b"}}, "spec": {"usages": ["any"]}}
    )
    assert (patched.metadata.annotations, patched.spec) == ({"a": "b"}, made.spec)
    body = {"metadata": {"annotations": {"c": "d"}}, "status": {"conditions": [{"type": "ApprovalPatch", "status": "True"}]}}
    patched = await client.patch(CertificateSigningRequest, name, body=body, subresource="approval")
    assert [found.type for found in patched.status.conditions] == ["ApprovalPatch"]
    assert patched.metadata.annotations == {"a": "b", "c": "d"}
    approved = await approve(client, patched)
    assert [found.type for found in approved.status.conditions] == ["ApprovalPatch", "Approved"]
    assert all(found.lastUpdateTime and found.lastTransitionTime for found in approved.status.conditions)
    certificate = (await _ca(cluster)).encode()
    signed = await client.patch(
        CertificateSigningRequest, name, body=msgspec.to_builtins({"status": {"certificate": certificate}}), subresource="status"
    )
    assert signed.status.certificate == certificate
    signed.status.conditions = [*signed.status.conditions, CertificateSigningRequestCondition(type="StatusUpdate", status="True")]
    assert len((await client.update_status(signed)).status.conditions) == 3
    for subresource in ("approval", "status"):
        found = await client.get_subresource(CertificateSigningRequest, name, "", subresource, CertificateSigningRequest)
        assert found.metadata.uid == made.metadata.uid
    await client.delete(CertificateSigningRequest, name)
    with pytest.raises(NotFound):
        await client.get(CertificateSigningRequest, name)
    await client.delete_collection(CertificateSigningRequest, fields=f"spec.signerName={SIGNER}")
    assert not (await client.list(CertificateSigningRequest, fields=f"spec.signerName={SIGNER}")).items


async def _ca(cluster: Cluster) -> str:
    return (cluster.directory / "pki" / "ca.crt").read_text()


async def _grant(cluster: Cluster, user: str, *rules: PolicyRule) -> Client:
    meta = ObjectMeta(name=f"test-{user}")
    await cluster.client.create(ClusterRole(metadata=meta, rules=list(rules)))
    ref = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=meta.name)
    await cluster.client.create(
        ClusterRoleBinding(metadata=ObjectMeta(name=meta.name), roleRef=ref, subjects=[Subject(kind="User", name=user)])
    )
    return cluster.client_for(user)


def rule(verbs: list[str], resources: list[str], names: tuple[str, ...] = ()) -> PolicyRule:
    return PolicyRule(verbs=verbs, apiGroups=["certificates.k8s.io"], resources=resources, resourceNames=list(names))


async def test_permissions_to_approve_and_sign(cluster: Cluster) -> None:
    all_of = [f"certificatesigningrequests{sub}" for sub in ("", "/approval", "/status")]
    weak = await _grant(cluster, "weak", rule(["get", "update", "create"], all_of))
    strong = await _grant(
        cluster, "strong", rule(["get", "update"], all_of), rule(["approve"], ["signers"], ("example.com/*",)),
        rule(["sign"], ["signers"], (SIGNER,)),
    )  # fmt: skip
    made = await weak.create(signing_request(request_pem("a"), SIGNER, CLIENT))
    assert made.spec.username == "weak"
    with pytest.raises(Forbidden, match=r'user not permitted to approve requests with signerName "example\.com/e2e"'):
        await approve(weak, await weak.get(CertificateSigningRequest, "csr"))
    approved = await approve(strong, made)
    approved.status.certificate = (await _ca(cluster)).encode()
    with pytest.raises(Forbidden, match=r'user not permitted to sign requests with signerName "example\.com/e2e"'):
        await weak.update_status(approved)
    signed = await strong.update_status(approved)
    denied = CertificateSigningRequestCondition(type="Denied", status="True")
    signed.status.conditions = [denied]
    with pytest.raises(Invalid, match='updates may not remove a condition of type "Approved"'):
        await strong.update(signed, subresource="approval")
    with pytest.raises(Forbidden, match=r"use of kubernetes\.io/kube-apiserver-client signer with system:masters group is not allowed"):
        await cluster.client.create(signing_request(request_pem("a", ["system:masters"]), API_CLIENT, CLIENT, name="root"))


@pytest.fixture
def signing(cluster: Cluster) -> Cluster:
    keys = cluster.directory / "pki"
    cluster.settings = ControllerSettings(SigningSettings(certificate=str(keys / "ca.crt"), key=str(keys / "ca.key")))
    return cluster


async def _issued(client: Client, name: str) -> x509.Certificate:
    async def look() -> bytes:
        return (await client.get(CertificateSigningRequest, name)).status.certificate

    pem = await eventually(look)
    assert pem is not None
    return x509.load_pem_x509_certificate(pem)


async def test_signs_approved_requests(signing: Cluster) -> None:
    client = signing.client
    async with signing.controllers():
        made = await client.create(signing_request(request_pem("alice", ["team"]), API_CLIENT, CLIENT, seconds=3600))
        foreign = await client.create(signing_request(request_pem("a"), SIGNER, CLIENT, name="foreign"))
        wrong = await client.create(signing_request(request_pem("a"), API_CLIENT, ("server auth",), name="wrong"))
        for csr in (foreign, wrong, made):
            await approve(client, csr)
        certificate = await _issued(client, "csr")
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((await _ca(signing)).encode()))
        assert certificate.subject.rfc4514_string() == "CN=alice,O=team"
        assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() == 3900

        async def failed() -> str:
            conditions = (await client.get(CertificateSigningRequest, "wrong")).status.conditions
            return next((found.message for found in conditions if found.type == "Failed"), "")

        assert await eventually(failed) == "invalid usage for client certificate: server auth"
        assert not (await client.get(CertificateSigningRequest, "foreign")).status.certificate


async def test_nodes_get_their_next_certificate_without_a_person(signing: Cluster) -> None:
    node = signing.client_for("system:node:n1", "system:nodes")
    async with signing.controllers():
        other = signing_request(request_pem("system:node:n2", ["system:nodes"]), KUBELET_CLIENT, CLIENT, name="other")
        with pytest.raises(Forbidden, match=r"can only create a node CSR with CN=system:node:n1"):
            await node.create(other)
        stranger = await _grant(signing, "stranger", rule(["create"], ["certificatesigningrequests"]))
        await stranger.create(other)
        await node.create(signing_request(request_pem("system:node:n1", ["system:nodes"]), KUBELET_CLIENT, CLIENT, name="own"))
        certificate = await _issued(signing.client, "own")
        assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
        own, other = [await signing.client.get(CertificateSigningRequest, name) for name in ("own", "other")]
        assert [found.reason for found in own.status.conditions] == ["AutoApproved"]
        assert not other.status.conditions
