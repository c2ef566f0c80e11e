"""Order of eviction, and what the messages say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import pod_requests
from tiphys.node.eviction.disk_use import Size
from tiphys.node.eviction.measure import DiskShare
from tiphys.node.eviction.pod_use import share_of
from tiphys.node.eviction.pressure import Level
from tiphys.node.eviction.ranking import PodUse, eviction_message, grace_of_eviction, ranked
from tiphys.node.eviction.thresholds import Amount, Resource, Threshold

MI = 1 << 20
MEMORY = Threshold("memory.available", Amount("100Mi"))


def one(name: str, request: str = "0", priority: int = 0, resource: str = "memory") -> core.Pod:
    main = {"name": "main", "resources": {"requests": {resource: request}}}
    return pod(main, metadata={"name": name, "uid": name}, priority=priority)


def names(resource: Resource, pods: list[core.Pod], uses: dict[str, int]) -> list[str]:
    return [each.metadata.name for each in ranked(resource, pods, {uid: PodUse(use) for uid, use in uses.items()})]


@pytest.mark.parametrize("resource", ["memory", "ephemeral-storage"])
def test_use_beyond_the_request_counts_before_priority(resource: Resource) -> None:
    pods = [
        one("within", "100Mi", 0, resource), one("important", "10Mi", 9, resource), one("small", "10Mi", 5, resource),
        one("large", "20Mi", 5, resource), one("unknown", "1Gi", 99, resource),
    ]  # fmt: skip
    uses = {"within": 100 * MI, "important": 500 * MI, "small": 30 * MI, "large": 41 * MI}
    assert names(resource, pods, uses) == ["unknown", "large", "small", "important", "within"]


@pytest.mark.parametrize("resource", ["inodes", "pids"])
def test_priority_counts_before_use_where_nobody_requests(resource: Resource) -> None:
    pods = [one("many", priority=5), one("few"), one("more"), one("unknown")]
    assert names(resource, pods, {"many": 1000, "few": 1, "more": 2}) == ["more", "few", "unknown", "many"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-2, 2)), max_size=8))
def test_nobody_goes_before_one_that_deserves_it_more(drawn: list[tuple[int, int, int]]) -> None:
    pods = [one(f"p{number}", f"{request}", priority) for number, (request, _, priority) in enumerate(drawn)]
    uses = {f"p{number}": PodUse(use) for number, (_, use, _) in enumerate(drawn)}
    order = ranked("memory", pods, uses)
    assert sorted(each.metadata.name for each in order) == sorted(each.metadata.name for each in pods)

    def beyond(of: core.Pod) -> int:
        return uses[of.metadata.uid].total - pod_requests(of)["memory"]

    for first, second in pairwise(order):
        assert (beyond(first) > 0) >= (beyond(second) > 0)
        if (beyond(first) > 0) == (beyond(second) > 0):
            assert (first.spec.priority or 0, -beyond(first)) <= (second.spec.priority or 0, -beyond(second))


def test_the_message_names_the_containers_that_use_more_than_they_request() -> None:
    containers: list[dict[str, Any]] = [{"name": "a", "resources": {"requests": {"memory": "10Mi"}}}, {"name": "b"}, {"name": "c"}]
    of = pod({**containers[0]}, *containers[1:])
    use = PodUse(40 * MI, {"a": 10 * MI, "b": 1234567})
    levels = {MEMORY.signal: Level(50 * MI, 1 << 30)}
    assert eviction_message(MEMORY, of, use, levels) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container b was using 1234567, request is 0, has larger consumption of memory. "
    )
    assert eviction_message(MEMORY, of, None, {}) == "The node was low on resource: memory. "


def test_the_message_names_a_pod_with_a_request_of_its_own() -> None:
    of = pod({"name": "a"}, resources={"requests": {"memory": "1Mi"}})
    message = eviction_message(MEMORY, of, PodUse(2 * MI), {})
    assert message.endswith("Pod web was using 2Mi, request is 1Mi, has larger consumption of memory. ")


def test_inodes_and_processes_are_plain_numbers() -> None:
    threshold = Threshold("pid.available", Amount("1%"))
    message = eviction_message(threshold, pod(), PodUse(5, {"main": 5}), {"pid.available": Level(1024, 204800)})
    assert message == "The node was low on resource: pids. Threshold quantity: 2Ki, available: 1024. "


def test_soft_thresholds_leave_time_to_end() -> None:
    soft = Threshold("memory.available", Amount("1Gi"), grace=60.0)
    patient = pod(terminationGracePeriodSeconds=60)
    assert [grace_of_eviction(soft, patient, most) for most in (0, 30, 90)] == [0, 30, 60]
    assert grace_of_eviction(MEMORY, patient, 30) == 1


def test_each_disk_counts_what_is_on_it() -> None:
    share = DiskShare({"v": Size(1000, 10)}, {"a": Size(100, 1), "gone": Size(5, 1)}, {"a": Size(10, 2)})
    assert share_of(share, "ephemeral-storage", {"volumes", "logs", "layers"}) == PodUse(1115, {"a": 110, "gone": 5})
    assert share_of(share, "ephemeral-storage", {"layers"}).total == 10
    assert share_of(share, "inodes", {"volumes", "logs"}).total == 12
