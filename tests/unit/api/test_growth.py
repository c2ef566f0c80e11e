"""Work on long lists grows with their length, not with its square."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from tiphys.api.apply import document
from tiphys.api.apply.schema import schema_of
from tiphys.api.core import v1 as core
from tiphys.api.core.v1 import ResourceClaim, ResourceRequirements
from tiphys.api.errors import MOST_ERROR_TEXT, Invalid, invalid
from tiphys.api.patch import strategic_merge
from tiphys.api.validation.resources import requirements

POD = schema_of(core.Pod)
SIZE = 2000
ROUNDS = 3
MOST_GROWTH = 11.0
"""Growth allowed for four times the length: 4 for linear work, 16 for quadratic work."""


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def containers(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"c{index}", **fields} for index in range(count)]


def delete_items(count: int) -> None:
    strategic_merge(core.Pod, spec(containers=containers(count)), spec(containers=containers(count, **{"$patch": "delete"})))


def delete_scalars(count: int) -> None:
    metadata = {"finalizers": [f"a{index}" for index in range(count)]}
    patch = {"$deleteFromPrimitiveList/finalizers": [f"b{index}" for index in range(count)]}
    strategic_merge(core.Pod, {"metadata": metadata}, {"metadata": patch})


def retain_keys(count: int) -> None:
    strategic_merge(None, {f"a{index}": 1 for index in range(count)}, {"$retainKeys": [f"b{index}" for index in range(count)]})


def merge_reversed(count: int) -> None:
    strategic_merge(core.Pod, spec(containers=containers(count)), spec(containers=containers(count)[::-1]))


def apply_reversed(count: int) -> None:
    document.merge(POD, spec(containers=containers(count)), spec(containers=containers(count)[::-1]))


def compare_repeated(count: int) -> None:
    document.compare(POD, spec(containers=[]), spec(containers=[{"name": "a"}] * (3 * count)))


def use_claims(count: int) -> None:
    claims = [ResourceClaim(name=f"c{index}") for index in range(count)]
    requirements([], "resources", ResourceRequirements(claims=claims), frozenset(claim.name for claim in claims))


def use_unknown_claims(count: int) -> None:
    claims = [ResourceClaim(name=f"c{index}") for index in range(count)]
    requirements([], "resources", ResourceRequirements(claims=claims), frozenset(f"d{index}" for index in range(count)))


def cpu(work: Callable[[int], None], count: int) -> float:
    """The least CPU time of a few rounds, in seconds."""
    rounds = []
    gc.disable()  # A collection walks every object of the test run, which says nothing about the work.
    try:
        for _ in range(ROUNDS):
            begin = time.process_time()
            work(count)
            rounds.append(time.process_time() - begin)
    finally:
        gc.enable()
    return min(rounds)


@pytest.mark.parametrize(
    "work",
    [delete_items, delete_scalars, retain_keys, merge_reversed, apply_reversed, compare_repeated, use_claims, use_unknown_claims],
    ids=lambda work: work.__name__,
)
def test_work_does_not_grow_with_the_square(work: Callable[[int], None]) -> None:
    work(SIZE)
    assert cpu(work, 4 * SIZE) < MOST_GROWTH * cpu(work, SIZE)


def test_errors_that_quote_long_values_are_bounded_together() -> None:
    value = "a" * 100_000
    errors = [invalid(f"spec.items[{index}]", value, "must be shorter") for index in range(200)]
    error = Invalid.object("Thing", "a", errors)
    assert len(error.errors) == 3
    assert str(error).endswith("and 197 more]")
    assert len(str(error)) < MOST_ERROR_TEXT + 2 * len(value)
