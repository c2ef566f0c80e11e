"""Huge pages in real containers. No page is needed for that: those of a machine are left as they are."""

from __future__ import annotations

import pytest

from tests.e2e.node.cluster import Node
from tiphys.node.host import huge_pages
from tiphys.testing.eventually import eventually

pytestmark = pytest.mark.skipif(2 << 20 not in huge_pages.pages(), reason="the kernel has no huge pages of 2 MiB")


async def test_a_volume_of_huge_pages(node: Node) -> None:
    size = {"memory": "32Mi", "hugepages-2Mi": "0"}
    main = {
        "command": ["sleep", "1000"],
        "resources": {"limits": size, "requests": size},
        "volumeMounts": [{"name": "pages", "mountPath": "/pages"}],
    }
    await node.run("web", main, volumes=[{"name": "pages", "emptyDir": {"medium": "HugePages-2Mi"}}])
    await node.phase("Running")
    assert "hugetlbfs" in await node.exec("grep", " /pages ", "/proc/mounts")
    assert (await node.exec("stat", "-f", "-c", "%s", "/pages")).strip() == str(2 << 20)


async def test_a_volume_of_pages_that_the_pod_does_not_request(node: Node) -> None:
    main = {"command": ["sleep", "1000"], "volumeMounts": [{"name": "pages", "mountPath": "/pages"}]}
    await node.run("web", main, volumes=[{"name": "pages", "emptyDir": {"medium": "HugePages"}}])
    message = "medium HugePages: hugePages storage requested, but there is no resource request for huge pages"
    assert await eventually(lambda: any(message in event for event in node.events("FailedMount")))


async def test_a_node_without_enough_pages_refuses(node: Node) -> None:
    size = {"cpu": "100m", "memory": "32Mi", "hugepages-2Mi": "1Ti"}
    await node.run("web", {"resources": {"limits": size}})
    failed = await node.phase("Failed")
    assert failed.status.reason == "OutOfhugepages-2Mi"
