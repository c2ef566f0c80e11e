"""Options of the loops of ResourceClaims."""

from __future__ import annotations

import pytest

from tiphys.controllers.resourceclaim.controller import ClaimReleaseController, ResourceClaimController
from tiphys.controllers.selection import chosen
from tiphys.controllers.settings import Concurrency
from tiphys.runtime import Controller


@pytest.mark.parametrize("name", ["resourceclaim", "resourceclaim-controller", "resource-claim-controller"])
def test_both_loops_go_by_both_names_of_upstream(name: str) -> None:
    loops: list[Controller] = [ResourceClaimController(), ClaimReleaseController()]
    assert chosen(["*", f"-{name}"], loops) == []


def test_both_loops_take_the_number_of_workers() -> None:
    workers = Concurrency(resourceclaim=7)
    assert {workers.of(loop.declaration.name) for loop in (ResourceClaimController, ClaimReleaseController)} == {7}
