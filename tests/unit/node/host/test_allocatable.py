"""Reserves, sets of cores, and what is left for pods."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.eviction.thresholds import Amount, Threshold
from tiphys.node.host import machine
from tiphys.node.host.allocatable import RESERVABLE, OverReserved, allocatable, limit, reserved
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.settings import NodeSettings

GI = 1 << 30
NODE = {"cpu": 4000, "memory": 8 * GI, "ephemeral-storage": 100 * GI}
HARD = (Threshold("memory.available", Amount("1Gi")), Threshold("nodefs.available", Amount("10%")))


@given(st.sets(st.integers(0, 300)))
def test_sets_of_cores_are_read_as_they_are_written(cores: set[int]) -> None:
    assert parse_cpus(format_cpus(cores)) == cores


def test_sets_of_cores_in_the_kernels_form() -> None:
    assert format_cpus({3, 1, 2, 8}) == "1-3,8"
    assert parse_cpus(" 0, 2-3\n") == {0, 2, 3}


@pytest.mark.parametrize("text", ["-1", "1-", "a", "1,,2", "0-99999999", "²"])
def test_other_texts_are_no_sets_of_cores(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of cores"):
        parse_cpus(text)
    with pytest.raises(ValueError, match="its first core is behind its last"):
        parse_cpus("3-1")


def test_reserves_add_up_and_reserved_cores_replace_those_of_cpu() -> None:
    system, kube = {"cpu": "500m", "memory": "1Gi"}, {"cpu": "1", "pid": "1000", "ephemeral-storage": "1Gi"}
    assert reserved(system, kube) == {"cpu": 1500, "memory": GI, "ephemeral-storage": GI, "pid": 1000}
    assert reserved(system, kube, "0,2-3")["cpu"] == 3000


def test_pods_may_request_what_is_neither_reserved_nor_held_for_eviction() -> None:
    reserves = {"cpu": 500, "memory": GI, "ephemeral-storage": GI, "pid": 1000}
    assert allocatable(NODE, reserves, HARD) == {"cpu": 3500, "memory": 6 * GI, "ephemeral-storage": 89 * GI}
    # Processes are limited together, but nobody requests them. Eviction has to begin before the limit of memory is reached.
    assert limit({**NODE, "pid": 30000}, reserves) == {"cpu": 3500, "memory": 7 * GI, "ephemeral-storage": 99 * GI, "pid": 29000}


def test_soft_thresholds_hold_nothing_back() -> None:
    assert allocatable(NODE, {}, [Threshold("memory.available", Amount("1Gi"), grace=60.0)]) == NODE


@given(st.fixed_dictionaries({name: st.integers(0, NODE.get(name, 10)) for name in RESERVABLE}), st.integers(0, 100))
def test_the_rest_and_the_reserve_are_the_whole(reserves: dict[str, int], percent: int) -> None:
    hard = [Threshold("nodefs.available", Amount(f"{percent}%"))]
    held = hard[0].below.of(NODE["ephemeral-storage"])
    try:
        left = allocatable(NODE, reserves, hard)
    except OverReserved:
        assert reserves["ephemeral-storage"] + held > NODE["ephemeral-storage"]
        return
    assert all(number >= 0 for number in left.values())
    assert left["ephemeral-storage"] + held + reserves["ephemeral-storage"] == NODE["ephemeral-storage"]


def test_a_reserve_beyond_the_capacity_names_every_resource() -> None:
    with pytest.raises(OverReserved) as caught:
        allocatable(NODE, {"cpu": 4500, "memory": 8 * GI}, HARD)
    assert 'Resource "cpu" has a reservation of 4500m but capacity of 4.' in str(caught.value)
    assert 'Resource "memory" has a reservation of 9Gi but capacity of 8Gi.' in str(caught.value)


def test_the_node_shows_what_is_left_of_this_machine(tmp_path: Path) -> None:
    plain, capacity = machine.measure(NodeSettings(name="n", root=tmp_path))
    reserves = {"memory": "64Mi", "pid": "100", "cpu": "100m"}
    less, _ = machine.measure(NodeSettings(name="n", root=tmp_path, kube_reserved=reserves))
    ki = int(plain.allocatable["memory"].removesuffix("Ki"))
    assert ki == machine.memory() // 1024 - (100 << 10)
    assert int(less.allocatable["memory"].removesuffix("Ki")) == ki - (64 << 10)
    assert less.pods["pid"] == plain.pods["pid"] - 100 == machine.max_pids() - 100
    assert less.pods["memory"] == machine.memory() - (64 << 20)
    assert capacity["cpu"] == plain.allocatable["cpu"] != less.allocatable["cpu"]
    free, _ = machine.measure(NodeSettings(name="n", root=tmp_path, enforce_allocatable=(), eviction_hard={}))
    assert free.pods == {}
    assert free.allocatable["memory"] == capacity["memory"]
