"""Directories of volumes on a share."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tiphys.node.nfs_class import share_call
from tiphys.node.nfs_class.settings import RECORDS
from tiphys.node.volumes.supervised import python


@pytest.fixture
def share(tmp_path: Path) -> Path:
    made = tmp_path / "share"
    made.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("x")
    return made


def make(share: Path, directory: str = "ns/c", volume: str = "pv1", *, size: int = 10, limit: int = 0, how: str = "own") -> str:
    return share_call.call(["make", str(share), directory, volume, str(size), str(limit), "0770", how])


def records(share: Path) -> list[str]:
    return os.listdir(share / RECORDS)


@pytest.mark.parametrize("verb", ["delete", "archive", "retain"])
def test_the_life_of_a_directory(share: Path, verb: str) -> None:
    assert make(share) == "10"
    assert make(share) == "10", "a repeated request finds it"
    assert (share / "ns/c").stat().st_mode & 0o7777 == 0o770
    (share / "ns/c/deep").mkdir()
    (share / "ns/c/deep/file").write_text("data")
    (share / "ns/c/out").symlink_to(share.parent / "outside")
    assert share_call.call(["find", str(share), "ns/c", "pv1"]) == "10"
    for _ in range(2):
        share_call.call([verb, str(share), "ns/c", "pv1"])
        assert not records(share)
    kept = {"delete": None, "archive": share / "ns/archived-c", "retain": share / "ns/c"}[verb]
    assert os.listdir(share / "ns") == ([] if kept is None else [kept.name])
    assert kept is None or (kept / "deep/file").read_text() == "data"
    assert (share.parent / "outside/precious").exists()
    with pytest.raises(OSError, match="not on the share"):
        share_call.call(["find", str(share), "ns/c", "pv1"])


def test_directories_of_other_volumes_stay(share: Path) -> None:
    make(share)
    with pytest.raises(FileExistsError, match="belongs to volume pv1"):
        make(share, volume="pv2")
    with pytest.raises(FileExistsError, match="belongs to volume pv1"):
        make(share, volume="pv2", how="shared")
    for verb in ("delete", "archive", "retain"):
        share_call.call([verb, str(share), "ns/c", "pv2"])
    assert (share / "ns/c").is_dir()
    assert share_call.call(["find", str(share), "ns/c", "pv1"]) == "10"


def test_the_late_deletion_of_a_volume_spares_the_next_one(share: Path) -> None:
    make(share)
    share_call.call(["delete", str(share), "ns/c", "pv1"])
    make(share, volume="pv2")
    share_call.call(["delete", str(share), "ns/c", "pv1"])
    assert (share / "ns/c").is_dir()


def test_a_directory_of_somebody_is_used_only_by_volumes_that_leave_it(share: Path) -> None:
    (share / "data").mkdir(mode=0o700)
    with pytest.raises(FileExistsError, match="onDelete: retain"):
        make(share, "data")
    assert make(share, "data", how="shared") == "10"
    assert make(share, "data", "pv2", how="shared") == "10"
    share_call.call(["retain", str(share), "data", "pv1"])
    share_call.call(["retain", str(share), "data", "pv2"])
    assert (share / "data").stat().st_mode & 0o7777 == 0o700, "its permissions are its owner's business"


def test_another_size_is_another_volume(share: Path) -> None:
    make(share)
    with pytest.raises(FileExistsError, match="exists with 10 bytes"):
        make(share, size=11)
    with pytest.raises(FileExistsError, match="exists with 10 bytes"):
        make(share, size=0, limit=9)
    assert make(share, size=9, limit=10) == "10"


def test_archives_do_not_replace_each_other(share: Path) -> None:
    for volume in ("pv1", "pv2", "pv3"):
        make(share, volume=volume)
        share_call.call(["archive", str(share), "ns/c", volume])
    assert sorted(os.listdir(share / "ns")) == ["archived-c", "archived-c-2", "archived-c-3"]


@pytest.mark.parametrize("verb", ["make own", "make shared", "delete", "archive"])
def test_planted_links_do_not_lead_out(share: Path, verb: str) -> None:
    outside = share.parent / "outside"
    if verb.startswith("make"):
        (share / "ns").symlink_to(outside)
        with pytest.raises(OSError, match="leads out of the share") as caught:
            make(share, how=verb.split()[1])
        assert os.listdir(outside) == ["precious"]
    else:
        make(share)
        (share / "ns").rename(share / "gone")
        (share / "ns").symlink_to("../outside")
        (outside / "c").mkdir()
        with pytest.raises(OSError, match="leads out of the share") as caught:
            share_call.call([verb, str(share), "ns/c", "pv1"])
    assert caught.value.errno == errno.EXDEV
    assert (outside / "precious").exists()


def test_a_directory_that_became_a_link_is_not_followed(share: Path) -> None:
    make(share)
    (share / "ns/c").rmdir()
    (share / "ns/c").symlink_to(share.parent / "outside")
    with pytest.raises(OSError, match="Not a directory"):
        share_call.call(["delete", str(share), "ns/c", "pv1"])
    assert (share.parent / "outside/precious").exists()


def test_a_damaged_record_is_nobodys(share: Path) -> None:
    make(share)
    (share / RECORDS / records(share)[0]).write_text("{")
    with pytest.raises(OSError, match="damaged"):
        make(share)
    with pytest.raises(OSError, match="damaged"):
        share_call.call(["delete", str(share), "ns/c", "pv1"])
    assert (share / "ns/c").is_dir()


def test_the_program(share: Path) -> None:
    command, environment = python("tiphys.node.nfs_class.share_call", "find", str(share), "a", "pv1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (errno.ENOENT, "volume pv1 is not on the share\n")
