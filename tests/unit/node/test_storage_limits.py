"""Limits of the disk: which pods have one, what counts against it, and what is said when it is exceeded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.storage_limits import DiskUse, directory_use, exceeded, is_limited

MI = 1 << 20


def using(*limits: str | None, size: str | None = None, medium: str = "", **spec: Any) -> core.Pod:
    """A pod with a container c0, c1, ... for each limit, and one emptyDir `v`."""
    names = [f"c{index}" for index in range(len(limits))]
    containers = [
        {"name": name, "resources": {"limits": {"ephemeral-storage": limit} if limit else {}}}
        for name, limit in zip(names, limits, strict=True)
    ]
    source = {"medium": medium, **({"sizeLimit": size} if size else {})}
    return pod(*containers, volumes=[{"name": "v", "emptyDir": source}, {"name": "h", "hostPath": {"path": "/"}}], **spec)


@pytest.mark.parametrize(
    ("it", "limited"),
    [
        (using(None), False),
        (using(None, size="0"), False),
        (using(None, size="1Mi"), True),
        (using(None, size="1Mi", medium="Memory"), False),
        (using("1Mi"), True),
        (using("1Mi", priority=2_000_001_000), False),
    ],
)
def test_only_pods_with_a_limit_are_looked_at(it: core.Pod, limited: bool) -> None:
    assert is_limited(it) is limited


@pytest.mark.parametrize(
    ("it", "use", "said"),
    [
        (using(None, size="1Mi"), DiskUse({"v": MI}), ""),
        (using(None, size="1Mi"), DiskUse({"v": MI + 1}), 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '),
        (using("1Mi", "2Mi"), DiskUse({"v": MI}, {"c0": MI, "c1": MI}), ""),
        (
            using("1Mi", "2Mi"),
            DiskUse({"v": MI}, {"c0": MI, "c1": MI + 1}),
            "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ",
        ),
        (using("1Mi", "2Mi"), DiskUse({}, {"c0": MI + 1}), 'Container c0 exceeded its local ephemeral storage limit "1Mi". '),
        (using("0", None), DiskUse({}, {"c1": 0}), ""),
    ],
)
def test_what_is_exceeded(it: core.Pod, use: DiskUse, said: str) -> None:
    assert exceeded(it, use) == said


def test_what_a_directory_takes_is_counted_once(tmp_path: Path) -> None:
    assert directory_use(tmp_path / "none") == 0
    outside = tmp_path / "outside"
    outside.write_bytes(os.urandom(MI))
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "file").write_bytes(os.urandom(MI))
    before = directory_use(root)
    assert MI <= before < MI + 65536
    os.link(root / "deep" / "file", root / "again")
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root)
    assert directory_use(root) < before + 65536
