"""NFS volumes of pods whose server is no use: other pods live on, and they themselves end."""

from __future__ import annotations

from tests.e2e.node.cluster import Node
from tests.e2e.node.test_volumes import SLEEP, mount
from tiphys.api.core import v1 as core
from tiphys.node.volumes import nfs
from tiphys.testing.eventually import eventually


async def test_an_export_that_cannot_be_mounted(node: Node) -> None:
    volumes = [{"name": "n", "nfs": {"server": "127.0.0.1", "path": "/none"}}]
    await node.run("web", {"command": SLEEP, "volumeMounts": [mount("n", "/n")]}, volumes=volumes)
    await node.run("other")
    await eventually(lambda: any('MountVolume.SetUp failed for volume "n" : ' in message for message in node.events("FailedMount")))
    if not nfs.kernel_has_client():
        assert any("the kernel of this node has no NFS client" in message for message in node.events("FailedMount"))
    await node.ready("other")
    node.api.remove(core.Pod, "web", "default")
    uids = {pod.metadata.uid for pod in node.api.list(core.Pod)}
    await eventually(lambda: {path.name for path in (node.directory / "node" / "pods").iterdir()} == uids)
