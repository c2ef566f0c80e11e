"""Custom resources and the kinds that kubectl has words of its own for, with an old, the same and a newer one."""

from __future__ import annotations

import base64
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.clients.conftest import Kubectl
from tests.integration.clients.crd import WIDGETS, widget
from tiphys.testing import eventually


async def test_custom_resources(kubectl: Kubectl) -> None:
    assert "widgets.example.com created" in await kubectl("apply -f -", stdin=json.dumps(WIDGETS))
    await kubectl("wait crd/widgets.example.com --for=condition=Established --timeout=20s")

    async def known() -> bool:
        return "widgets" in await kubectl("api-resources --api-group=example.com")

    await eventually(known, timeout=15)
    await kubectl("apply -f -", stdin=json.dumps(widget("a")))
    assert (await kubectl("get wd")).splitlines()[0].split()[:3] == ["NAME", "COLOR", "STATE"]
    assert "red" in await kubectl("get widgets a")
    assert "widget.example.com/a" in await kubectl("get all -o name")
    await kubectl("patch widget a --type=merge -p", '{"spec":{"color":"green"}}')
    await kubectl("label widget a x=y")
    assert await kubectl("get widget a -o jsonpath={.spec.color}:{.spec.size}") == "green:2"
    said = await kubectl.fails("apply -f -", stdin=json.dumps(widget("b", "pink")))
    assert "pink" in said
    await kubectl("scale widget a --replicas=5")
    assert await kubectl("get widget a -o jsonpath={.spec.size}") == "5"
    assert "green" in (await kubectl("describe widget a")).lower()
    if kubectl.knows(27):
        assert "Its color." in await kubectl("explain widget.spec.color")
    await kubectl("delete crd widgets.example.com --timeout=30s")
    assert "NotFound" in await kubectl.fails("get crd widgets.example.com")


async def test_jobs_and_schedules(kubectl: Kubectl) -> None:
    await kubectl("create job once --image=registry.example/job:1", "--", "true")
    assert await kubectl("get job once -o jsonpath={.spec.template.spec.restartPolicy}") == "Never"
    assert "0/1" in await kubectl("get jobs")
    assert "Parallelism" in await kubectl("describe job once")
    if kubectl.knows(21):  # Before, it made them in a version that is gone.
        await kubectl("create cronjob nightly --image=registry.example/job:1 --schedule", "0 3 * * *", "--", "true")
        assert "0 3 * * *" in await kubectl("get cronjobs")
        await kubectl("create job now --from=cronjob/nightly")
        assert await kubectl("get job now -o jsonpath={.metadata.annotations.cronjob\\.kubernetes\\.io/instantiate}") == "manual"
    await kubectl("delete job once")


async def test_quota_class_ingress_and_budget(kubectl: Kubectl) -> None:
    await kubectl("create quota small --hard=pods=2,configmaps=50")
    assert "small" in await kubectl("get quota")
    assert "Hard" in await kubectl("describe quota small")
    await kubectl("create priorityclass high --value=1000 --description=important")
    assert "1000" in await kubectl("get priorityclass high")
    await kubectl("create ingress door", "--rule=shop.example/cart*=web:80,tls=cert")
    assert "shop.example" in await kubectl("get ingress door")
    assert "web:80" in await kubectl("describe ingress door")
    await kubectl("create deployment web --image=registry.example/web:1")
    target = "--cpu=70%" if kubectl.knows(33) else "--cpu-percent=70"
    await kubectl(f"autoscale deployment web --min=1 --max=3 {target}")
    assert await kubectl("get hpa web -o jsonpath={.spec.minReplicas}-{.spec.maxReplicas}") == "1-3"
    assert "web" in await kubectl("get hpa")
    assert "Deployment/web" in await kubectl("describe hpa web")


async def test_certificates(kubectl: Kubectl) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ann"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "people")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    spec = {
        "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    document = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "ann"}, "spec": spec}
    await kubectl("create -f -", stdin=json.dumps(document))
    assert "Pending" in await kubectl("get csr ann")
    assert "approved" in await kubectl("certificate approve ann")
    assert "Approved" in await kubectl("get csr ann")
    document["metadata"] = {"name": "bob"}
    await kubectl("create -f -", stdin=json.dumps(document))
    assert "denied" in await kubectl("certificate deny bob")
    assert "Denied" in await kubectl("get csr bob")
    assert "Requesting User" in await kubectl("describe csr ann")
