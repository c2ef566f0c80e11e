"""Tests of the reference driver in `examples/csi-directory`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from csi_directory.driver import DirectoryDriver
from csi_directory.store import Node

from tiphys.csi.driver import Driver
from tiphys.testing.csi_node_suite import CsiNodeSuite
from tiphys.testing.csi_suite import MIB, CsiSuite, mounted

CAP_SYS_RESOURCE = 24
DIRECTORY = {"backing": "directory"}


def is_capable(capability: int) -> bool:
    """Return whether this process has a capability."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(line.split()[1], 16) >> capability & 1)


class TestDisks(CsiSuite):
    """Volumes that are disks in files."""

    def make_driver(self, directory: Path) -> Driver:
        return DirectoryDriver(directory, zone="here", node=Node(id="node-1", zone="here"))


class TestDirectories(TestDisks):
    """Volumes that are directories, without zones."""

    parameters = DIRECTORY

    def make_driver(self, directory: Path) -> Driver:
        return DirectoryDriver(directory, node=Node(id="node-1"))


class TestExt4OnNodes(CsiNodeSuite):
    """Disks with ext4, which grows online only with that capability."""

    grows_online = is_capable(CAP_SYS_RESOURCE)

    def make_driver(self, directory: Path) -> Driver:
        return DirectoryDriver(directory, node=Node(id="node-1"))


@pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="the package xfsprogs is missing")
class TestXfsOnNodes(TestExt4OnNodes):
    """Disks with XFS."""

    capability = mounted(fs_type="xfs")
    size = 300 * MIB
    grows_online = True


class TestDirectoriesOnNodes(TestExt4OnNodes):
    """Directories."""

    parameters = DIRECTORY
    has_block = False
    grows_online = True
