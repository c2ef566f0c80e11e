"""Answers about snapshots, and the mounts that are made from them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.runtime.test_containerd_events import field
from tiphys.node.cri.errors import CriError
from tiphys.node.runtime.snapshots import SnapshotMount, parse_mount
from tiphys.node.volumes import image, mounts

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


def test_the_mount_of_a_snapshot() -> None:
    one = field(1, b"overlay") + field(2, b"overlay") + field(4, b"index=off") + field(4, b"lowerdir=/a:/b")
    assert parse_mount(field(1, one)) == SnapshotMount("overlay", "overlay", ("index=off", "lowerdir=/a:/b"))
    with pytest.raises(CriError, match="unreadable"):
        parse_mount(b"")


@given(st.binary(max_size=40))
def test_malformed_answers_are_errors_of_the_runtime(data: bytes) -> None:
    with contextlib.suppress(CriError):
        parse_mount(data)


@needs_root
@pytest.mark.parametrize("layers", [1, 2, 60])
def test_a_snapshot_is_mounted_read_only_whatever_its_layers(layers: int, tmp_path: Path) -> None:
    places = [tmp_path / ("layer" + "x" * 100) / str(number) for number in range(layers)]
    for number, place in enumerate(places):
        place.mkdir(parents=True)
        (place / "name").write_text(str(number))
        (place / f"only-{number}").touch()
    names = ":".join(map(str, places))
    shown = SnapshotMount("bind", names, ("ro", "rbind")) if layers == 1 else SnapshotMount("overlay", "overlay", (f"lowerdir={names}",))
    target = tmp_path / "m"
    target.mkdir()
    image._mount(shown, target, tmp_path / "empty")
    try:
        assert len(list(target.iterdir())) == layers + 1
        assert (target / "name").read_text() == "0", "the first layer is the topmost"
        with pytest.raises(OSError, match="Read-only file system"):
            (target / "new").touch()
        assert os.statvfs(target).f_flag & os.ST_NOEXEC
        # A runtime may drop the flags of the mount, not those of the file system.
        mounts.mount("none", target, flags=mounts.MS_REMOUNT | mounts.MS_BIND)
        with pytest.raises(OSError, match="Read-only file system"):
            (target / "new").touch()
    finally:
        mounts.unmount(target)
