"""Common kubectl commands on ReplicationControllers."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.integration.controllers.deployment.test_kubectl import kubectl
from tiphys.testing import eventually
from tiphys.testing.kubectl import Kubectl

__all__ = ["kubectl"]

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {app: NAME, role: main}
  template:
    metadata: {labels: {app: NAME, role: main}}
    spec: {containers: [{name: main, image: "nginx:1", ports: [{name: serve, containerPort: 6379}]}]}
"""


@pytest.fixture
async def rc(kubectl: Kubectl, tmp_path: Path) -> Path:
    path = tmp_path / "rc.yaml"
    path.write_text(RC.replace("NAME", "nautilus"))
    await kubectl("create", "-f", str(path))
    await ready(kubectl, "nautilus", 1)
    return path


async def ready(kubectl: Kubectl, name: str, count: int) -> None:
    async def check() -> bool:
        found = json.loads(await kubectl("get", "rc", name, "-o", "json"))
        assert found["status"].get("readyReplicas", 0) == found["status"]["replicas"] == count
        return True

    await eventually(check)


async def test_scale_up_and_down_and_delete(kubectl: Kubectl, rc: Path) -> None:
    assert "replicationcontroller/nautilus scaled" in await kubectl("scale", "rc", "nautilus", "--replicas=2", "--timeout=1m")
    await ready(kubectl, "nautilus", 2)
    names = await kubectl("get", "pods", "-l", "app=nautilus", "-o", "template", "--template={{range .items}}{{.metadata.name}} {{end}}")
    assert len(names.split()) == 2
    await kubectl("scale", "rc", "nautilus", "--replicas=1", "--current-replicas=2")
    await ready(kubectl, "nautilus", 1)
    await kubectl("delete", "-f", str(rc), "--grace-period=0", "--force")

    async def nothing_left() -> bool:
        return "No resources found" in (await kubectl.run("get", "rc,pods", "-l", "app=nautilus")).text

    await eventually(nothing_left)


async def test_describe(kubectl: Kubectl, rc: Path) -> None:
    said = re.sub(r"\s+", " ", await kubectl("describe", "rc", "nautilus"))
    for part in (
        "Name: nautilus", "Namespace: default", "Selector: app=nautilus,role=main", "Labels: app=nautilus role=main", "Annotations: <none>",
        "Replicas: 1 current / 1 desired",
        "Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed", "Image: nginx:1", "Port: 6379/TCP",
    ):  # fmt: skip
        assert part in said

    async def told() -> bool:
        events = await kubectl("describe", "rc", "nautilus")
        return "SuccessfulCreate" in events and "replication-controller" in events

    await eventually(told)
    pod = (await kubectl("get", "pods", "-l", "app=nautilus", "-o", "name")).strip()
    assert "Controlled By:  ReplicationController/nautilus" in await kubectl("describe", pod)


async def test_expose(kubectl: Kubectl, rc: Path) -> None:
    await kubectl("expose", "rc", "nautilus", "--name=rm2", "--port=1234", "--target-port=6379")
    made = json.loads(await kubectl("get", "service", "rm2", "-o", "json"))
    assert made["spec"]["selector"] == {"app": "nautilus", "role": "main"}
    await kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")

    async def served() -> bool:
        for name, port in (("rm2", 1234), ("rm3", 2345)):
            service = json.loads(await kubectl("get", "service", name, "-o", "json"))
            assert service["spec"]["ports"][0]["port"] == port
            text = await kubectl("get", "endpoints", name, "-o", "json")
            (subset,) = json.loads(text[text.index("{") :])["subsets"]  # A warning about the deprecated kind comes first.
            assert subset["ports"][0]["port"] == 6379
        return True

    await eventually(served)


async def test_labels_and_annotations_of_its_pods(kubectl: Kubectl, rc: Path) -> None:
    pod = (await kubectl("get", "pods", "-l", "app=nautilus", "-o", "name")).strip()
    await kubectl("patch", pod, "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    assert json.loads(await kubectl("get", pod, "-o", "json"))["metadata"]["annotations"]["x"] == "y"
    await kubectl("label", pod, "testing-label=value")
    assert "value" in await kubectl("get", pod, "-L", "testing-label")


async def test_a_guest_book(kubectl: Kubectl, tmp_path: Path) -> None:
    """Services and workloads from one stream; all of them go with `delete -f`."""
    text = "\n---\n".join(RC.replace("NAME", name) for name in ("agnhost-primary", "agnhost-replica"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "frontend"}, "spec": {"ports": [{"port": 80}]}}
    path = tmp_path / "book.yaml"
    path.write_text(f"{text}\n---\n{json.dumps(service)}\n")
    await kubectl("create", "-f", str(path))
    await asyncio.gather(*(ready(kubectl, name, 1) for name in ("agnhost-primary", "agnhost-replica")))
    table = await kubectl("get", "rc", "-o", "wide")
    assert table.splitlines()[0].split() == ["NAME", "DESIRED", "CURRENT", "READY", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert "replicationcontroller/agnhost-primary" in await kubectl("get", "all")
    await kubectl("delete", "-f", str(path), "--grace-period=0", "--force")

    async def nothing_left() -> bool:
        return "No resources found" in (await kubectl.run("get", "rc,pods")).text

    await eventually(nothing_left)


async def test_cron_jobs_are_made_shown_and_explained(kubectl: Kubectl) -> None:
    made = await kubectl.run("create", "cronjob", "tick", "--image=busybox:1", "--schedule=*/5 * * * *", "--", "true")
    assert made.text == "cronjob.batch/tick created\n"
    assert re.search(r"tick\s+\*/5 \* \* \* \*\s+<none>\s+False\s+0\s+<none>", await kubectl("get", "cj"))
    assert "Schedule:                      */5 * * * *" in await kubectl("describe", "cronjob", "tick")
    await kubectl("create", "job", "now", "--from=cronjob/tick")
    made = json.loads(await kubectl("get", "job", "now", "-o", "json"))
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert "FIELD: podFailurePolicy" in await kubectl("explain", "job.spec.podFailurePolicy")
    assert "backoffLimitPerIndex" in await kubectl("explain", "job.spec")
    await kubectl("delete", "cronjob/tick", "--cascade=background")

    async def nothing_left() -> bool:
        return "No resources found" in (await kubectl.run("get", "jobs,cronjobs")).text

    await eventually(nothing_left)
