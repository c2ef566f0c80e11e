"""Choice of devices: one test per rule of "Dynamic Resource Allocation"."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.device_world import (
    claim,
    counters,
    device,
    devices_on,
    exactly,
    gpu_class,
    names,
    one_of,
    try_on,
)
from tiphys.api.core.v1.reference import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from tiphys.api.machinery.base import Quantity
from tiphys.api.resource.v1 import (
    CapacityRequestPolicy,
    CapacityRequestPolicyRange,
    CounterSet,
    DeviceCapacity,
    DeviceClaimConfiguration,
    DeviceClassConfiguration,
    DeviceConstraint,
    DeviceTaint,
    DeviceToleration,
    OpaqueDeviceConfiguration,
)
from tiphys.scheduler.devices.capacity import share
from tiphys.scheduler.devices.requests import AllocationError

MODEL = 'device.attributes["gpu.example.com"].model'
TWO = devices_on("n1", device("a", model="old", numa=0), device("b", model="new", numa=1))


def test_takes_the_first_device_that_all_selectors_choose() -> None:
    assert names(try_on("n1", [claim()], [TWO])) == [["a"]]
    assert names(try_on("n1", [claim("c", exactly(text=f'{MODEL} == "new"'))], [TWO])) == [["b"]]
    assert try_on("n1", [claim("c", exactly(text=f'{MODEL} == "none"'))], [TWO]) is None
    assert try_on("n1", [claim()], [TWO], classes=[gpu_class(text='device.driver == "other"')]) is None


def test_looks_at_the_devices_of_the_node_only() -> None:
    assert try_on("n2", [claim()], [TWO]) is None
    (allocation,) = try_on("n1", [claim()], [TWO]) or []
    assert allocation.nodeSelector is not None
    assert allocation.nodeSelector.nodeSelectorTerms[0].matchFields[0].values == ["n1"]


def test_gives_no_device_twice() -> None:
    first = try_on("n1", [claim()], [TWO])
    assert first is not None
    assert names(try_on("n1", [claim()], [TWO], taken=first)) == [["b"]]
    assert try_on("n1", [claim("c", exactly(number=2))], [TWO], taken=first) is None
    assert names(try_on("n1", [claim("x"), claim("y")], [TWO])) == [["a"], ["b"]]
    assert try_on("n1", [claim("x"), claim("y"), claim("z")], [TWO]) is None


def test_goes_back_when_an_early_choice_blocks_a_later_one() -> None:
    wanting = claim("c", exactly("any"), exactly("old", text=f'{MODEL} == "old"'))
    assert names(try_on("n1", [wanting], [TWO])) == [["b", "a"]]


def test_gives_all_devices_or_none() -> None:
    (allocation,) = try_on("n1", [claim("c", exactly(number=0))], [TWO]) or []
    assert names([allocation]) == [["a", "b"]]
    taken = try_on("n1", [claim()], [TWO]) or []
    assert try_on("n1", [claim("c", exactly(number=0))], [TWO], taken=taken) is None
    assert try_on("n1", [claim("c", exactly(number=0, text=f'{MODEL} == "none"'))], [TWO]) is None


@pytest.mark.parametrize(
    ("constraint", "numbers", "chosen"),
    [
        (DeviceConstraint(matchAttribute="gpu.example.com/numa"), (0, 1, 1), ["b", "c"]),
        (DeviceConstraint(distinctAttribute="gpu.example.com/numa"), (0, 0, 1), ["a", "c"]),
        (DeviceConstraint(matchAttribute="gpu.example.com/missing"), (0, 0, 0), None),
        (DeviceConstraint(matchAttribute="gpu.example.com/numa"), (0, 1, 2), None),
        (DeviceConstraint(matchAttribute="gpu.example.com/numa"), (1, True, 2), None),
        (DeviceConstraint(matchAttribute="gpu.example.com/numa", requests=["other"]), (0, 1, 2), ["a", "b"]),
    ],
)
def test_keeps_constraints(constraint: DeviceConstraint, numbers: tuple[int, ...], chosen: list[str] | None) -> None:
    one = devices_on("n1", *(device(name, numa=numa) for name, numa in zip("abc", numbers, strict=True)))
    result = try_on("n1", [claim("c", exactly(number=2), constraints=[constraint])], [one])
    assert names(result) == (None if chosen is None else [chosen])


def test_takes_the_first_way_of_a_prioritized_list_that_works() -> None:
    request = one_of("gpu", ("best", 2, f'{MODEL} == "new"'), ("good", 1, f'{MODEL} == "old"'))
    config = [
        DeviceClaimConfiguration(requests=[name], opaque=OpaqueDeviceConfiguration(driver="gpu.example.com", parameters={"for": name}))
        for name in ("gpu/best", "gpu/good")
    ]
    (allocation,) = try_on("n1", [claim("c", request, config=config)], [TWO]) or []
    assert [one.request for one in allocation.devices.results] == ["gpu/good"]
    assert [one.requests for one in allocation.devices.config] == [["gpu/good"]]


def test_admin_access_takes_nothing_away() -> None:
    taken = try_on("n1", [claim("c", exactly(number=2))], [TWO]) or []
    watching = [claim("c", exactly(number=2, adminAccess=True))]
    admin = try_on("n1", watching, [TWO], taken=taken) or []
    assert names(admin) == [["a", "b"]]
    assert all(one.adminAccess for one in admin[0].devices.results)
    assert names(try_on("n1", [claim()], [TWO], taken=admin)) == [["a"]]


def test_taints_repel_without_a_toleration() -> None:
    tainted = device("a", taints=[DeviceTaint(key="broken", value="yes", effect="NoExecute"), DeviceTaint(key="note", effect="None")])
    one = devices_on("n1", tainted)
    assert try_on("n1", [claim()], [one]) is None
    for tolerations in (
        [DeviceToleration(key="broken", operator="Exists")],
        [DeviceToleration(key="broken", operator="Equal", value="yes")],
    ):
        assert names(try_on("n1", [claim("c", exactly(tolerations=tolerations))], [one])) == [["a"]]
    other = [DeviceToleration(key="broken", operator="Exists", effect="NoSchedule")]
    assert try_on("n1", [claim("c", exactly(tolerations=other))], [one]) is None


def test_partitions_share_counters() -> None:
    parts = [device("half-1", uses={"slots": "4"}), device("half-2", uses={"slots": "4"}), device("whole", uses={"slots": "8"})]
    slices = [
        devices_on("n1", *parts, name="s1", slices=2),
        devices_on("n1", name="s2", slices=2, sharedCounters=[CounterSet(name="chip", counters=counters({"slots": "8"}))]),
    ]
    half = try_on("n1", [claim()], slices) or []
    assert names(half) == [["half-1"]]
    assert names(try_on("n1", [claim("c", exactly(number=2))], slices)) == [["half-1", "half-2"]]
    assert try_on("n1", [claim("c", exactly(text="!has(device.attributes['gpu.example.com'].x)", number=3))], slices) is None
    assert names(try_on("n1", [claim()], slices, taken=half)) == [["half-2"]]
    both = half + (try_on("n1", [claim()], slices, taken=half) or [])
    assert try_on("n1", [claim()], slices, taken=both) is None


def test_several_claims_share_a_device_until_its_capacity_is_gone() -> None:
    policy = CapacityRequestPolicy(
        default=Quantity("1Gi"), validRange=CapacityRequestPolicyRange(min=Quantity("1Gi"), step=Quantity("1Gi"))
    )
    big = device("a", allowMultipleAllocations=True)
    big.capacity["memory"] = DeviceCapacity(value=Quantity("4Gi"), requestPolicy=policy)
    one = devices_on("n1", big)
    first = try_on("n1", [claim("c", exactly(capacity={"memory": "1500Mi"}))], [one]) or []
    (result,) = first[0].devices.results
    assert result.consumedCapacity == {"memory": "2Gi"}
    assert result.shareID is not None
    assert try_on("n1", [claim("c", exactly(capacity={"memory": "3Gi"}))], [one], taken=first) is None
    assert names(try_on("n1", [claim("x"), claim("y")], [one], taken=first)) == [["a"], ["a"]]
    assert try_on("n1", [claim("x"), claim("y"), claim("z")], [one], taken=first) is None
    assert try_on("n1", [claim("c", exactly(capacity={"cores": "1"}))], [one]) is None


@pytest.mark.parametrize(
    ("wish", "policy", "amount"),
    [
        ("3", CapacityRequestPolicy(default=Quantity("2"), validValues=[Quantity("2"), Quantity("4")]), 4),
        ("5", CapacityRequestPolicy(default=Quantity("2"), validValues=[Quantity("2"), Quantity("4")]), None),
        (None, CapacityRequestPolicy(default=Quantity("2"), validValues=[Quantity("2"), Quantity("4")]), 2),
        ("1", CapacityRequestPolicy(default=Quantity("3"), validRange=CapacityRequestPolicyRange(min=Quantity("2"))), 2),
        (
            "7",
            CapacityRequestPolicy(default=Quantity("3"), validRange=CapacityRequestPolicyRange(min=Quantity("2"), max=Quantity("6"))),
            None,
        ),
        (
            "5",
            CapacityRequestPolicy(default=Quantity("2"), validRange=CapacityRequestPolicyRange(min=Quantity("2"), step=Quantity("3"))),
            5,
        ),
        (
            "6",
            CapacityRequestPolicy(default=Quantity("2"), validRange=CapacityRequestPolicyRange(min=Quantity("2"), step=Quantity("3"))),
            8,
        ),
        (None, None, 9),
        ("4", None, 4),
    ],
)
def test_rounds_wishes_to_what_a_policy_allows(wish: str | None, policy: CapacityRequestPolicy | None, amount: int | None) -> None:
    one = device("a", allowMultipleAllocations=True)
    one.capacity["units"] = DeviceCapacity(value=Quantity("9"), requestPolicy=policy)
    exact = exactly(capacity={"units": wish} if wish else None).exactly
    assert exact is not None
    assert share(one, exact.capacity) == (None if amount is None else {"units": Decimal(amount)})


def _labelled(key: str, value: str) -> NodeSelector:
    requirement = NodeSelectorRequirement(key=key, operator="In", values=[value])
    return NodeSelector(nodeSelectorTerms=[NodeSelectorTerm(matchExpressions=[requirement])])


def test_slices_choose_nodes_by_selector_or_for_each_device() -> None:
    zone = devices_on(None, device("a"), pool="zone", nodeSelector=_labelled("zone", "z1"))
    (allocation,) = try_on("n1", [claim()], [zone], labels={"zone": "z1"}) or []
    assert allocation.nodeSelector == zone.spec.nodeSelector
    assert try_on("n1", [claim()], [zone], labels={"zone": "z2"}) is None
    everywhere = devices_on(None, device("a"), pool="net", allNodes=True)
    (allocation,) = try_on("n1", [claim()], [everywhere]) or []
    assert allocation.nodeSelector is None
    each = devices_on(
        None, device("a", nodeName="n2"), device("b", nodeName="n1"), device("c", allNodes=True), pool="p", perDeviceNodeSelection=True
    )
    assert names(try_on("n1", [claim("c", exactly(number=2))], [each])) == [["b", "c"]]
    bound = devices_on(None, device("a", bindsToNode=True), pool="net", allNodes=True)
    (allocation,) = try_on("n1", [claim()], [bound]) or []
    assert allocation.nodeSelector is not None


def test_old_generations_and_incomplete_pools_give_nothing() -> None:
    old, new = devices_on("n1", device("a"), generation=1), devices_on("n1", device("b"), generation=2)
    assert names(try_on("n1", [claim()], [old, new])) == [["b"]]
    half = devices_on("n1", device("c"), generation=3, slices=2)
    assert try_on("n1", [claim()], [old, new, half]) is None
    with pytest.raises(AllocationError, match=r"asks for all devices, but resource pool gpu.example.com/n1 is currently being updated"):
        try_on("n1", [claim("c", exactly(number=0))], [new, half])


def test_pools_with_mistakes_say_so() -> None:
    twice = [devices_on("n1", device("a"), name=name, slices=2) for name in ("s1", "s2")]
    with pytest.raises(AllocationError, match=r"invalid resource pools were encountered: gpu.example.com/n1: device names are not unique"):
        try_on("n1", [claim()], twice)


def test_reports_selectors_without_a_value() -> None:
    with pytest.raises(AllocationError, match=r"claim default/c: selector #0: CEL runtime error: .*missing"):
        try_on("n1", [claim("c", exactly(text='device.attributes["gpu.example.com"].missing == 1'))], [TWO])
    with pytest.raises(AllocationError, match="could not retrieve device class other"):
        try_on("n1", [claim("c", exactly(device_class="other"))], [TWO])


def test_names_each_class_once_in_the_configuration() -> None:
    config = [DeviceClassConfiguration(opaque=OpaqueDeviceConfiguration(driver="gpu.example.com", parameters={"mode": "fast"}))]
    (allocation,) = try_on("n1", [claim("c", exactly("x"), exactly("y"))], [TWO], classes=[gpu_class(config=config)]) or []
    assert [(one.source, one.requests) for one in allocation.devices.config] == [("FromClass", ["x", "y"])]


def test_gives_up_on_searches_that_take_too_long() -> None:
    many = devices_on("n1", *(device(f"d{number}", numa=number) for number in range(30)))
    constraint = [DeviceConstraint(matchAttribute="gpu.example.com/kind")]
    for one in many.spec.devices:
        one.attributes["kind"] = one.attributes["numa"]
    requests = [exactly(f"r{number}") for number in range(8)]
    with pytest.raises(AllocationError, match="timed out trying to allocate devices"):
        try_on("n1", [claim("x", *requests), claim("y", exactly(number=2), constraints=constraint)], [many])


@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.lists(st.integers(0, 2), min_size=1, max_size=4), st.booleans())
def test_finds_a_solution_exactly_if_there_is_one(numas: list[int], wishes: list[int], same: bool) -> None:
    """A brute-force search over all assignments agrees, and the result breaks no rule."""
    one = devices_on("n1", *(device(f"d{number}", numa=numa, odd=numa == 1) for number, numa in enumerate(numas)))
    texts = ["true", 'device.attributes["gpu.example.com"].numa == 1', '!device.attributes["gpu.example.com"].odd']
    requests = [exactly(f"r{number}", text=texts[wish]) for number, wish in enumerate(wishes)]
    constraints = [DeviceConstraint(matchAttribute="gpu.example.com/numa")] if same else []
    result = try_on("n1", [claim("c", *requests, constraints=constraints)], [one])
    good: list[Callable[[int], bool]] = [(lambda numa: True), (lambda numa: numa == 1), (lambda numa: numa != 1)]
    values = {f"d{number}": numa for number, numa in enumerate(numas)}
    if result is not None:
        chosen = [one.device for one in result[0].devices.results]
        assert len(set(chosen)) == len(wishes)
        assert all(good[wish](values[name]) for wish, name in zip(wishes, chosen, strict=True))
        assert not same or len({values[name] for name in chosen}) == 1
    else:
        assert not any(
            _assignable([values[name] for name in group], [good[wish] for wish in wishes])
            and (not same or len({values[name] for name in group}) == 1)
            for group in combinations(values, len(wishes))
        )


def _assignable(values: list[int], tests: list[Callable[[int], bool]]) -> bool:
    if not tests:
        return True
    return any(tests[0](value) and _assignable(values[:number] + values[number + 1 :], tests[1:]) for number, value in enumerate(values))
