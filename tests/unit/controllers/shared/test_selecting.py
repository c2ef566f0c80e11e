"""Selectors of workloads."""

from __future__ import annotations

from tests.unit.controllers.make import replica_set
from tiphys.api.meta.v1 import LabelSelector, LabelSelectorRequirement
from tiphys.controllers.shared.selecting import shown, workload_selector


def test_a_selector_of_everything_selects_nothing() -> None:
    assert not workload_selector(None).matches({"a": "b"})
    assert not workload_selector(type(replica_set().spec.selector)()).matches({"a": "b"})  # type: ignore[misc]


def test_selectors_in_messages_look_as_upstream_prints_them() -> None:
    assert shown(None) == "nil"
    assert shown(LabelSelector()) == "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{},}"
    needs = [LabelSelectorRequirement(key="tier", operator="In", values=["a", "b"]), LabelSelectorRequirement(key="old", operator="Exists")]
    assert shown(LabelSelector(matchLabels={"b": "2", "a": "1"}, matchExpressions=needs)) == (
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{"
        "LabelSelectorRequirement{Key:tier,Operator:In,Values:[a b],},LabelSelectorRequirement{Key:old,Operator:Exists,Values:[],},},}"
    )
