"""The choice of devices, and hints from where they could come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.devices.choice import choose, hints
from tiphys.node.devices.device import Device, DeviceError
from tiphys.node.resources.assigner import Hint

NAME = "example.com/dev"
TWO_NODES = {
    "a": Device(nodes=frozenset((0,))),
    "b": Device(nodes=frozenset((0,))),
    "c": Device(nodes=frozenset((1,))),
    "d": Device(nodes=frozenset((1,))),
    "e": Device(),
}
MACHINE = frozenset((0, 1))


def chosen(count: int, *, used: str = "", reusable: str = "", nodes: set[int] | None = None, preferred: str = "") -> str:
    where = frozenset(nodes) if nodes is not None else None
    choice = choose(NAME, count, TWO_NODES, used=set(used), reusable=set(reusable), nodes=where)
    return "".join(choice.finish(preferred))


def test_devices_of_init_containers_come_first() -> None:
    assert chosen(2, used="bc", reusable="c") == "ac"


def test_an_alignment_is_kept_as_far_as_possible() -> None:
    assert chosen(2, nodes={1}) == "cd"
    assert chosen(3, nodes={1}) == "acd"
    # Those that belong to no node come last.
    assert chosen(4, used="a", nodes={1}) == "bcde"


def test_a_preference_counts_within_what_is_free() -> None:
    assert chosen(2, preferred="ed") == "de"
    assert chosen(2, used="d", preferred="edx") == "ae"
    assert chosen(1, nodes={0}, preferred="cb") == "b"
    assert chosen(3, nodes={0}, preferred="de") == "abd"


def test_says_what_is_missing() -> None:
    with pytest.raises(DeviceError, match=r"requested number of devices unavailable for example.com/dev. Requested: 4, Available: 2"):
        chosen(5, used="abc", reusable="a")
    with pytest.raises(DeviceError, match=r"no healthy devices present; cannot allocate unhealthy devices example.com/dev"):
        choose(NAME, 1, {"a": Device("Unhealthy")}, used=set(), nodes=None)


def test_unhealthy_devices_are_never_chosen() -> None:
    devices = {**TWO_NODES, "a": Device("Unhealthy", frozenset((0,)))}
    assert choose(NAME, 1, devices, used=set(), reusable={"a"}, nodes=frozenset((0,))).finish("a") == ["b"]


@given(
    st.integers(1, 6), st.sets(st.sampled_from("abcde")), st.lists(st.sampled_from("abcdexy")), st.sampled_from([None, {0}, {1}, {0, 1}])
)
def test_nothing_in_use_is_chosen_twice(count: int, used: set[str], preferred: list[str], nodes: set[int] | None) -> None:
    try:
        ids = chosen(count, used="".join(used), nodes=nodes, preferred="".join(preferred))
    except DeviceError:
        assert len(TWO_NODES) - len(used) < count
        return
    assert len(ids) == len(set(ids)) == count
    assert not set(ids) & used


def test_hints_prefer_the_fewest_nodes() -> None:
    assert hints(2, TWO_NODES, free="abcd", machine=MACHINE) == [
        Hint(frozenset((0,)), preferred=True),
        Hint(frozenset((1,)), preferred=True),
        Hint(frozenset((0, 1)), preferred=False),
    ]
    # One node would do if nothing were in use, so what is left is not what one would like.
    assert hints(2, TWO_NODES, free="bc", machine=MACHINE) == [Hint(frozenset((0, 1)), preferred=False)]
    assert hints(3, TWO_NODES, free="abcd", machine=MACHINE) == [Hint(frozenset((0, 1)), preferred=True)]
    assert hints(5, TWO_NODES, free="abcd", machine=MACHINE) == []


def test_hints_contain_what_is_owned_already() -> None:
    assert hints(2, TWO_NODES, free="abcd", fixed="c", machine=MACHINE) == [
        Hint(frozenset((1,)), preferred=True),
        Hint(frozenset((0, 1)), preferred=False),
    ]


def test_nodes_that_the_machine_does_not_have_are_left_out() -> None:
    devices = {"a": Device(nodes=frozenset((0,))), "b": Device(nodes=frozenset((70,)))}
    assert hints(1, devices, free="ab", machine=MACHINE) == [Hint(frozenset((0,)), preferred=True)]


def test_many_nodes_are_not_combined_without_end() -> None:
    devices = {str(node): Device(nodes=frozenset((node,))) for node in range(64)}
    assert len(hints(1, devices, free=list(devices), machine=frozenset(range(64)))) == 2**8 - 1
