"""Problems of the machine that the Node shows."""

from __future__ import annotations

from tests.e2e.node.cluster import Node
from tiphys.api.core import v1 as core
from tiphys.node.volumes import mounts
from tiphys.testing.eventually import eventually


def conditions(node: Node) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.message) for one in node.api.get(core.Node, node.name).status.conditions}


async def test_a_node_whose_disk_became_read_only_is_not_ready_until_it_can_be_written_again(node: Node) -> None:
    root = node.settings.root
    assert conditions(node)["Ready"][0] == "True"
    assert "ReadonlyFilesystem" not in conditions(node)
    mounts.mount("", root, flags=mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY)
    try:
        sentence = f"file system of {root} is read-only"
        await eventually(lambda: conditions(node)["Ready"] == ("False", sentence))
        assert conditions(node)["ReadonlyFilesystem"] == ("True", sentence)
    finally:
        mounts.mount("", root, flags=mounts.MS_REMOUNT | mounts.MS_BIND)
    await eventually(lambda: conditions(node)["Ready"][0] == "True")
    assert conditions(node)["ReadonlyFilesystem"] == ("False", "Filesystem is not read-only")
    await eventually(lambda: node.events("FilesystemIsNotReadOnly") == ["Filesystem is not read-only"])
    assert node.events("FilesystemIsReadOnly") == [sentence]
