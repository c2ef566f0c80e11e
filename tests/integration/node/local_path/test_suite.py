"""The driver and the suite that every driver passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import needs_loop_devices
from tiphys.csi.driver import Driver
from tiphys.node.local_path import programs
from tiphys.node.local_path.driver import LocalPathDriver
from tiphys.testing.csi_node_suite import CsiNodeSuite
from tiphys.testing.csi_suite import MIB, CsiSuite, mounted


@needs_loop_devices
class TestController(CsiSuite):
    """Identity and controller."""

    def make_driver(self, directory: Path) -> Driver:
        return LocalPathDriver(directory / "storage", node="n1")


@needs_loop_devices
class TestExt4(CsiNodeSuite):
    """Volumes with ext4."""

    grows_online = programs.may_grow_mounted("ext4")

    def make_driver(self, directory: Path) -> Driver:
        return LocalPathDriver(directory / "storage", node="n1")


@pytest.mark.skipif(programs.find("mkfs.xfs") is None, reason="xfsprogs is not installed")
class TestXfs(TestExt4):
    """Volumes with XFS."""

    capability = mounted(fs_type="xfs")
    size = 300 * MIB
    grows_online = True
