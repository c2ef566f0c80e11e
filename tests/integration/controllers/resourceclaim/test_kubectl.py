"""Claims of pods as kubectl shows them, with a real kubectl."""

from __future__ import annotations

from pathlib import Path

from tests.integration.controllers.conftest import Cluster
from tiphys.controllers.resourceclaim.controller import ClaimReleaseController, ResourceClaimController
from tiphys.controllers.serviceaccount.controller import ServiceAccountController
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.kubectl import Kubectl

TEMPLATE = """
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: gpus}
spec:
  spec:
    devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.example.com}}]}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  resourceClaims: [{name: gpu, resourceClaimTemplateName: gpus}]
  containers: [{name: main, image: busybox, resources: {claims: [{name: gpu}]}}]
"""
RECORDED = "jsonpath={.status.resourceClaimStatuses[?(@.name=='gpu')].resourceClaimName}"


async def test_a_pod_gets_a_claim(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        cluster, kubectl = Cluster(client_for, tmp_path), Kubectl.of(tmp_path)
        for name, text in (("template", TEMPLATE), ("pod", POD)):
            (tmp_path / f"{name}.yaml").write_text(text)
        async with cluster.controllers(ServiceAccountController(), ResourceClaimController(), ClaimReleaseController()):
            await eventually(lambda: cluster.has_account("default"))
            await kubectl("create", "-f", str(tmp_path / "pod.yaml"))

            async def told() -> bool:
                return "FailedResourceClaimCreation" in await kubectl("describe", "pod", "web")

            await eventually(told)
            result = await kubectl.run("create", "-f", str(tmp_path / "template.yaml"))
            assert result.text.strip() == "resourceclaimtemplate.resource.k8s.io/gpus created", "no warning"
            name = await eventually(lambda: kubectl("get", "pod", "web", "-o", RECORDED))
            heading, line = (await kubectl("get", "resourceclaims")).splitlines()
            assert heading.split() == ["NAME", "STATE", "AGE"]
            assert line.split()[:2] == [name, "pending"]
            described = (await kubectl("describe", "resourceclaim", name)).split()
            assert "resource.kubernetes.io/pod-claim-name:" in described
