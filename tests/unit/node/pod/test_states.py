"""States of a pod's worker."""

from __future__ import annotations

import pytest

from tiphys.node.pod.states import BadTransition, Life


def test_a_worker_lives_by_the_table() -> None:
    life = Life("default/web")
    assert life.fire("over")
    assert life.fire("stopped")
    assert life.story[-1].endswith("> terminated")
    assert life.fire("deleted")
    assert life.fire("removed")
    assert life.fire("missing")
    assert life.state == "gone"
    with pytest.raises(BadTransition, match=r"default/web: stopped while gone; before that: syncing --over--> terminating"):
        life.fire("stopped")
