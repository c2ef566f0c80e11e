"""Removal of a cluster's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiphys.daemon.remove import remove_files
from tiphys.node.volumes import mounts


def test_a_directory_goes_with_its_links_and_not_where_they_lead(tmp_path: Path) -> None:
    precious, cluster = tmp_path / "precious", tmp_path / "cluster"
    precious.mkdir()
    (precious / "file").touch()
    (cluster / "node/pods").mkdir(parents=True)
    (cluster / "server.db").touch()
    (cluster / "link").symlink_to(precious)
    (cluster / "node/link").symlink_to(precious)
    assert remove_files(cluster) == []
    assert not cluster.exists()
    assert (precious / "file").exists()
    assert remove_files(cluster) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_volume_that_is_still_mounted_keeps_its_files(tmp_path: Path) -> None:
    volume, cluster = tmp_path / "volume", tmp_path / "cluster"
    volume.mkdir()
    (volume / "file").touch()
    (cluster / "images").mkdir(parents=True)
    mounted = cluster / "node/pods/u1/volumes/mounted"
    mounted.mkdir(parents=True)
    mounts.bind(str(volume), mounted)
    try:
        left = remove_files(cluster)
        assert (volume / "file").exists()
        assert [line.split(":")[0] for line in left] == [str(cluster / "node"), str(cluster)]
        assert "mounted" in left[0]
        assert not (cluster / "images").exists(), "the rest is gone"
    finally:
        mounts.unmount(mounted)
