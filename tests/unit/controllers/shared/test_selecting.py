"""Selectors of workloads."""

from __future__ import annotations

from tests.unit.controllers.make import replica_set
from tiphys.controllers.shared.selecting import workload_selector


def test_a_selector_of_everything_selects_nothing() -> None:
    assert not workload_selector(None).matches({"a": "b"})
    assert not workload_selector(type(replica_set().spec.selector)()).matches({"a": "b"})  # type: ignore[misc]
