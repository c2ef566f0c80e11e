"""Limits of local storage: what is compared with which limit, and how use is measured while containers write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.make import pod
from tiphys.node.eviction.disk_use import used_bytes
from tiphys.node.eviction.local_storage import Excess, StorageUse, excess, is_limited
from tiphys.node.eviction.measure import storage_use
from tiphys.node.volumes.paths import PodPaths

MI = 1 << 20


def limited(name: str, limit: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "resources": {"limits": {"ephemeral-storage": limit}}, **more}


def scratch(limit: str, name: str = "x", medium: str = "") -> dict[str, Any]:
    return {"name": name, "emptyDir": {**({"sizeLimit": limit} if limit else {}), "medium": medium}}


VOLUME = Excess("emptydirfs.limit", 'Usage of EmptyDir volume "x" exceeds the limit "1Mi". ')
POD = Excess("ephemeralpodfs.limit", "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ")
CONTAINER = Excess("ephemeralcontainerfs.limit", 'Container a exceeded its local ephemeral storage limit "1Mi". ')


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (StorageUse({"x": MI}, {"a": MI}, 3 * MI), None),
        (StorageUse({"x": MI + 1}, {"a": MI + 1}, 3 * MI + 1), VOLUME),
        (StorageUse({"x": MI, "y": 9 * MI}, {"a": MI + 1}, 3 * MI + 1), POD),
        (StorageUse({"x": MI}, {"a": MI + 1}, 2 * MI), CONTAINER),
        (StorageUse({}, {"c": 9 * MI}, 0), None),
        (StorageUse(), None),
    ],
)
def test_limits_are_compared_in_upstreams_order(use: StorageUse, expected: Excess | None) -> None:
    of = pod(limited("a", "1Mi"), limited("b", "2Mi"), {"name": "c"}, volumes=[scratch("1Mi"), scratch("", "y")])
    assert excess(of, use) == expected


def test_a_limit_of_zero_holds_for_no_volume_and_no_single_container() -> None:
    assert excess(pod({"name": "a"}, volumes=[scratch("0")]), StorageUse({"x": 5})) is None
    assert excess(pod(limited("a", "0")), StorageUse(containers={"a": 5}, total=0)) is None


def test_the_sum_is_spelled_like_the_limits() -> None:
    found = excess(pod(limited("a", "1M"), limited("b", "500k")), StorageUse(total=2 * MI))
    assert found is not None
    assert found.message.endswith("total limit of containers 1500k. ")


def test_only_limited_pods_are_measured() -> None:
    assert not is_limited(pod(volumes=[scratch("")]))
    assert is_limited(pod(volumes=[scratch("1Mi")]))
    assert is_limited(pod(limited("a", "1Mi")))
    assert is_limited(pod({"name": "a"}, initContainers=[limited("i", "1Mi")]))


# -- measuring


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def test_bytes_below_a_directory(tmp_path: Path) -> None:
    root = tmp_path / "v"
    assert used_bytes(root) == 0
    write(tmp_path / "outside" / "big", 4 * MI)
    write(root / "a" / "b" / "one", MI)
    os.link(root / "a" / "b" / "one", root / "two")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "a" / "file").symlink_to(tmp_path / "outside" / "big")
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(8 * MI)
    assert MI <= used_bytes(root) < MI + MI // 4
    assert used_bytes(root / "link") == 0


def test_a_tree_deeper_than_paths_may_be_long(tmp_path: Path) -> None:
    levels, name, home = 20, "d" * 250, os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(levels):
            os.mkdir(name)
            os.chdir(name)
        Path("file").write_bytes(os.urandom(MI))
    finally:
        os.fchdir(home)
        os.close(home)
    assert used_bytes(tmp_path) >= MI


def test_usage_of_a_pod_counts_volumes_logs_and_layers(tmp_path: Path) -> None:
    paths, logs = PodPaths(tmp_path, "u1"), tmp_path / "logs"
    volumes = [scratch("1Mi"), {"name": "c", "configMap": {"name": "c"}}, {"name": "h", "hostPath": {"path": "/"}}]
    of = pod(limited("a", "1Mi"), volumes=volumes)
    write(paths.volume(of.spec.volumes[0]) / "f", MI)
    write(paths.volume(of.spec.volumes[1]) / "f", MI)
    write(logs / "a" / "0.log", MI)
    write(paths.hosts, MI)
    use = storage_use(of, paths=paths, logs=logs, layers={"a": 5 * MI})
    assert use.volumes.keys() == {"x", "c"}
    assert use.volumes["x"] >= MI
    assert 6 * MI <= use.containers["a"] < 7 * MI
    assert 9 * MI <= use.total < 10 * MI
    only_volume = storage_use(pod(volumes=volumes), paths=paths, logs=logs, layers={"a": 5 * MI})
    assert (list(only_volume.volumes), only_volume.containers, only_volume.total) == (["x"], {}, 0)
