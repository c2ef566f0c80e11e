"""Huge pages of the machine and of containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.node.make import pod
from tiphys.node.container.config import linux_resources
from tiphys.node.host import huge_pages

LARGE, HUGE = 2 << 20, 1 << 30


def sized(name: str, **pages: str) -> dict[str, Any]:
    listed = {f"hugepages-{size}": amount for size, amount in pages.items()}
    return {"name": name, "resources": {"limits": {"memory": "64Mi", **listed}, "requests": {"memory": "64Mi", **listed}}}


def test_pages_of_a_machine(tmp_path: Path) -> None:
    for name, count in (("hugepages-2048kB", "512\n"), ("hugepages-1048576kB", "0\n"), ("hugepages-64kB", "many\n"), ("other", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nr_hugepages").write_text(count)
    pages = huge_pages.pages(tmp_path)
    assert pages == {LARGE: 512, HUGE: 0}
    assert huge_pages.capacity(pages) == {"hugepages-2Mi": "1Gi", "hugepages-1Gi": "0"}
    assert huge_pages.total(pages) == 1 << 30
    assert huge_pages.pages(tmp_path / "none") == {}


def test_limits_reach_the_runtime() -> None:
    it = pod(sized("a", **{"2Mi": "4Mi", "1Gi": "1Gi", "64Ki": "128Ki"}), {"name": "b"})
    one, other = (linux_resources(it, container) for container in it.spec.containers)
    assert {limit.page_size: limit.limit for limit in one.hugepage_limits} == {"2MB": 4 << 20, "1GB": 1 << 30, "64KB": 128 << 10}
    assert list(other.hugepage_limits) == []


def test_pages_of_volumes() -> None:
    one, both = pod(sized("a", **{"2Mi": "4Mi"}), {"name": "b"}), pod(sized("a", **{"2Mi": "4Mi"}), sized("b", **{"1Gi": "1Gi"}))
    assert huge_pages.page_size(one, "HugePages") == LARGE
    assert huge_pages.page_size(both, "HugePages-1Gi") == HUGE
    for it, medium, message in (
        (pod(), "HugePages", "medium HugePages: hugePages storage requested, but there is no resource request for huge pages"),
        (one, "HugePages-1Gi", "medium HugePages-1Gi: hugePages storage requested, but there is no resource request"),
        (both, "HugePages", "the pod requests huge pages of several sizes"),
        (one, "HugePages-many", 'unknown storage medium "HugePages-many"'),
    ):
        with pytest.raises(huge_pages.HugePagesError, match=message):
            huge_pages.page_size(it, medium)
