"""Requirements of node selectors, value by value."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import requirement_holds


@pytest.mark.parametrize(
    ("operator", "values", "value", "wanted"),
    [
        ("In", ["a", "b"], "b", True),
        ("In", ["a"], None, False),
        ("NotIn", ["a"], "a", False),
        ("NotIn", ["a"], None, True),
        ("Exists", [], "", True),
        ("DoesNotExist", [], None, True),
        ("Gt", ["3"], "4", True),
        ("Gt", ["3"], "3", False),
        ("Lt", ["3"], "-1", True),
        ("Lt", ["3"], "x", False),
        ("Lt", ["3"], None, False),
        ("Like", ["3"], "3", False),
    ],
)
def test_requirements_of_node_selectors(operator: str, values: list[str], value: str | None, wanted: bool) -> None:
    assert requirement_holds(core.NodeSelectorRequirement(key="k", operator=operator, values=values), value) is wanted
