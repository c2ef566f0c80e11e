"""The time to live that kubelets are told, as a cluster grows and shrinks."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.nodettl.controller import TTL, NodeTtlController
from tiphys.controllers.nodettl.plan import SIZES, next_size
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi


@pytest.mark.parametrize(
    ("before", "nodes", "seconds"),
    [
        (0, 0, 0),
        (0, 100, 0),
        (0, 101, 15),
        (1, 90, 15),
        (1, 89, 0),
        (1, 501, 30),
        (2, 449, 15),
        (2, 1001, 60),
        (3, 2001, 300),
        (4, 1800, 300),
        (4, 1799, 60),
        (4, 3, 0),
        (0, 10**6, 300),
    ],
)
def test_sizes_overlap(before: int, nodes: int, seconds: int) -> None:
    assert SIZES[next_size(before, nodes)].seconds == seconds


@pytest.mark.looptime
async def test_all_nodes_hear_of_a_new_size(api: MemoryApi) -> None:
    def told() -> set[str]:
        return {node.metadata.annotations.get(TTL, "") for node in api.list(core.Node)}

    def add(start: int, stop: int) -> None:
        api.add(*(core.Node(metadata=ObjectMeta(name=f"n{number}")) for number in range(start, stop)))

    add(0, 100)
    async with running_loops(api.client(), NodeTtlController) as manager:
        await eventually(lambda: told() == {"0"})
        add(100, 101)
        await eventually(lambda: told() == {"15"})
        await eventually(lambda: manager.idle)
        assert len(api.writes()) == 100 + 101
        for number in range(11, 101):
            # Heartbeats cause no writes, and a node more or less is no other size.
            beating = api.get(core.Node, f"n{number}")
            beating.status.conditions = [core.NodeCondition(type="Ready", status="True")]
            api.add(beating)
        for number in range(11):
            api.remove(core.Node, f"n{number}")
        await eventually(lambda: manager.idle)
        assert (len(api.writes()), told()) == (201, {"15"})
        api.remove(core.Node, "n11")
        await eventually(lambda: told() == {"0"})
        touched = api.get(core.Node, "n50")
        touched.metadata.annotations[TTL] = "soon"
        api.add(touched)
        await eventually(lambda: told() == {"0"})
