"""Families about the pods that the kubelet works on, and their labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.samples import Sample

from tiphys.node.metrics.families import size_label
from tiphys.node.metrics.working import LogSize, Work, log_lines, log_sizes, machine_lines, working_lines
from tiphys.node.serve.requests import INFLIGHT, REQUESTS, counted, labels
from tiphys.obs import metrics


def page(lines: object) -> dict[str, list[Sample]]:
    return {one.name: one.samples for one in parsed(metrics.page(lines).decode())}  # type: ignore[arg-type]


def test_pods_are_counted_by_state_and_source() -> None:
    families = page(working_lines([
        Work("syncing", True, True, ephemeral=2),
        Work("syncing", True, True, static=True),
        Work("terminating", False, True),
        Work("terminating", False, False),
        Work("terminated", True, True),
    ], 3))  # fmt: skip
    desired = {one.labels["static"]: one.value for one in families["kubelet_desired_pods"]}
    assert desired == {"": 2, "true": 1}
    assert {one.labels["static"]: one.value for one in families["kubelet_active_pods"]} == {"": 3, "true": 1}
    assert {tuple(one.labels.values()): one.value for one in families["kubelet_working_pods"]} == {
        ("sync", "desired", ""): 1, ("sync", "desired", "true"): 1, ("terminating", "orphan", ""): 1,
        ("terminating", "runtime_only", ""): 1, ("terminated", "desired", ""): 1,
    }  # fmt: skip
    assert families["kubelet_mirror_pods"][0].value == 3
    assert families["kubelet_managed_ephemeral_containers"][0].value == 2


def test_the_version_of_control_groups_is_shown() -> None:
    assert page(machine_lines(v2=True))["kubelet_cgroup_version"][0].value == 2
    assert page(machine_lines(v2=False))["kubelet_cgroup_version"][0].value == 1


def test_logs_are_measured_with_rotated_ones(tmp_path: Path) -> None:
    for name in ("0.log", "0.log.20300101"):
        (tmp_path / name).write_bytes(b"x" * 4096)
    gone = (("u2", "ns", "gone", "app"), str(tmp_path / "none/0.log"))
    (size,) = log_sizes([(("u1", "ns", "web", "app"), str(tmp_path / "0.log")), gone])
    assert size[:4] == ("u1", "ns", "web", "app")
    assert size.size >= 8192
    (sample,) = page(log_lines([LogSize("u1", "ns", "web", "app", 9)]))["kubelet_container_log_filesystem_used_bytes"]
    assert (sample.value, sample.labels) == (9, {"uid": "u1", "namespace": "ns", "pod": "web", "container": "app"})
    assert list(log_lines([])) == []


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/metrics/resource", ("GET", "metrics/resource", "readwrite", "false")),
        ("GET", "/metrics/" + "x" * 99, ("GET", "metrics", "readwrite", "false")),
        ("POST", "/exec/ns/pod/app", ("POST", "exec", "readwrite", "true")),
        ("BREW", "/secret-of-a-client", ("other", "other", "readwrite", "false")),
    ],
)
def test_labels_of_requests_are_bounded(method: str, path: str, expected: tuple[str, ...]) -> None:
    assert labels(method, path, {"metrics", "exec"}) == expected


def test_requests_are_counted_while_and_after_they_are_answered() -> None:
    values = labels("GET", "/pods", {"pods"})
    before = REQUESTS.labels(*values).value
    with counted("GET", "/pods", {"pods"}):
        assert INFLIGHT.labels(*values).value == 1
    assert INFLIGHT.labels(*values).value == 0
    assert REQUESTS.labels(*values).value == before + 1


@pytest.mark.parametrize(("size", "label"), [(0, "0-10MB"), (10 << 20, "0-10MB"), ((10 << 20) + 1, "10MB-100MB"), (200 << 30, "GT100GB")])
def test_sizes_of_images_have_upstreams_labels(size: int, label: str) -> None:
    assert size_label(size) == label
