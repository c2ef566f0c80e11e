"""Ranges of pod addresses for nodes."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.controllers.nodeipam.controller import NodeIpamController, free_range
from tiphys.controllers.nodeipam.settings import NodeIpamSettings


@given(st.sets(st.integers(0, 15)), st.booleans())
def test_a_free_range_is_free(used: set[int], odd: bool) -> None:
    cluster = ip_network("10.42.0.0/20")
    taken = [f"10.42.{number}.0/24" for number in used] + (["10.42.3.128/25", "fd00::/64"] if odd else [])
    found = free_range(cluster, 24, taken)
    blocked = used | ({3} if odd else set())
    if blocked == set(range(16)):
        assert found is None
    else:
        assert found == f"10.42.{min(set(range(16)) - blocked)}.0/24"


def test_ranges_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot have a prefix of 12 bits"):
        NodeIpamController(NodeIpamSettings(node_mask=12))
