"""Resource requests of pods."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.unit.scheduler import scalar
from tests.unit.scheduler.worlds import pods
from tiphys.api.core import v1 as core
from tiphys.scheduler.resources import HostPort, Requests, conflict, pod_requests
from tiphys.scheduler.slim import slim_pod


def requests_of(pod: core.Pod) -> Requests:
    return pod_requests(slim_pod(pod))


def box(cpu: str = "", memory: str = "", *, always: bool = False) -> core.Container:
    requests = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    return core.Container(
        name=f"c-{cpu}-{memory}",
        resources=core.ResourceRequirements(requests=requests),  # type: ignore[arg-type]
        restartPolicy="Always" if always else None,
    )


@pytest.mark.parametrize(
    ("init", "main", "wanted"),
    [
        ([], [box("1"), box("500m")], 1500),
        ([box("2")], [box("1"), box("500m")], 2000),
        ([box("1"), box("1")], [box("500m")], 1000),
        ([box("1", always=True)], [box("500m")], 1500),
        # The init container runs beside the sidecar before it, not beside the one after it.
        ([box("1", always=True), box("3"), box("500m", always=True)], [box("1")], 4000),
        ([box("3"), box("1", always=True)], [box("1")], 3000),
    ],
)
def test_init_containers_and_sidecars(init: list[core.Container], main: list[core.Container], wanted: int) -> None:
    assert requests_of(core.Pod(spec=core.PodSpec(initContainers=init, containers=main))).amounts == {"cpu": wanted}


def test_overhead_comes_on_top_and_resources_of_the_pod_count_instead() -> None:
    spec = core.PodSpec(containers=[box("1", "1Gi")], overhead={"cpu": "250m"})  # type: ignore[dict-item]
    assert requests_of(core.Pod(spec=spec)).amounts == {"cpu": 1250, "memory": 1 << 30}
    spec.resources = core.ResourceRequirements(requests={"cpu": "2"})  # type: ignore[dict-item]
    assert requests_of(core.Pod(spec=spec)).amounts == {"cpu": 2250, "memory": 1 << 30}


def test_scores_assume_something_for_containers_that_ask_for_nothing() -> None:
    found = requests_of(core.Pod(spec=core.PodSpec(containers=[box(), box("1")])))
    assert (dict(found.amounts), found.assumed_cpu, found.assumed_memory) == ({"cpu": 1000}, 1100, 2 * 200 * 1024 * 1024)


def test_a_container_that_shrinks_counts_with_what_it_still_has() -> None:
    pod = core.Pod(spec=core.PodSpec(containers=[box("1")]))
    pod.status.containerStatuses = [core.ContainerStatus(name="c-1-", allocatedResources={"cpu": "3"})]  # type: ignore[dict-item]
    assert requests_of(pod).amounts == {"cpu": 3000}


@pytest.mark.parametrize(("reason", "wanted"), [("Infeasible", 1000), ("Deferred", 8000)])
def test_ignores_infeasible_resizes(reason: str, wanted: int) -> None:
    pod = core.Pod(spec=core.PodSpec(containers=[box("8")]))
    status = core.ContainerStatus(name="c-8-", allocatedResources={"cpu": "1"}, resources=core.ResourceRequirements(requests={"cpu": "1"}))  # type: ignore[dict-item]
    pod.status.containerStatuses = [status]
    pod.status.conditions = [core.PodCondition(type="PodResizePending", status="True", reason=reason)]
    assert requests_of(pod).amounts == {"cpu": wanted}


@given(pods())
def test_requests_agree_with_the_moments_of_a_pods_life(pod: core.Pod) -> None:
    assert requests_of(pod).amounts == {name: value for name, value in scalar.needs(pod).items() if value}


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (("0.0.0.0", "TCP", 80), ("127.0.0.1", "TCP", 80), True),
        (("127.0.0.1", "TCP", 80), ("127.0.0.1", "TCP", 80), True),
        (("127.0.0.1", "TCP", 80), ("127.0.0.2", "TCP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "UDP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 81), False),
    ],
)
def test_host_ports(one: tuple[str, str, int], other: tuple[str, str, int], wanted: bool) -> None:
    assert conflict(HostPort(*one), HostPort(*other)) is conflict(HostPort(*other), HostPort(*one)) is wanted
