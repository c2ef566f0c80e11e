"""The driver and the suite that every driver passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.node.nfs_class.scratch import BindMounts, needs_root
from tiphys.csi.driver import Driver
from tiphys.node.nfs_class.driver import NfsDriver
from tiphys.node.volumes import mounts
from tiphys.node.volumes.nfs import NfsMounts
from tiphys.node.volumes.supervised import Supervised
from tiphys.testing.csi_node_suite import CsiNodeSuite
from tiphys.testing.csi_suite import CsiSuite

PARAMETERS = {"server": "nas.example", "share": "/share"}


def make_driver(directory: Path) -> Driver:
    (directory / "exports" / "share").mkdir(parents=True, exist_ok=True)
    return NfsDriver(directory / "state", NfsMounts(Supervised(), BindMounts(directory / "exports")), node="n1")


@needs_root
class TestController(CsiSuite):
    """Identity and controller."""

    parameters = PARAMETERS
    has_block = False

    def make_driver(self, directory: Path) -> Driver:
        return make_driver(directory)


@needs_root
class TestNode(CsiNodeSuite):
    """Mounts of pods, from a share with a file system of its own: others would change the use of the machine's."""

    parameters = PARAMETERS
    has_block = False

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[Driver]:
        share = tmp_path / "exports" / "share"
        share.mkdir(parents=True)
        mounts.tmpfs(share, size=64 << 20)
        driver = self.make_driver(tmp_path)
        try:
            yield driver
            await driver.close()
        finally:
            mounts.unmount(share)

    def make_driver(self, directory: Path) -> Driver:
        return make_driver(directory)
