"""Tolerations and node selectors, value by value."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import requirement_holds
from tiphys.api.helpers.taints import tolerates
from tiphys.scheduler.matching import image_name

TAINT = core.Taint(key="team", value="5", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "wanted"),
    [
        (core.Toleration(key="team", operator="Equal", value="5"), True),
        (core.Toleration(key="team", value="5", effect="NoSchedule"), True),
        (core.Toleration(key="team", value="6"), False),
        (core.Toleration(key="team", operator="Exists"), True),
        (core.Toleration(operator="Exists"), True),
        (core.Toleration(operator="Exists", effect="NoExecute"), False),
        (core.Toleration(key="other", operator="Exists"), False),
        (core.Toleration(key="team", operator="Lt", value="6"), True),
        (core.Toleration(key="team", operator="Gt", value="6"), False),
        (core.Toleration(key="team", operator="Lt", value="six"), False),
    ],
)
def test_tolerations(toleration: core.Toleration, wanted: bool) -> None:
    assert tolerates(toleration, TAINT) is wanted


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


def test_image_names_have_tags() -> None:
    assert image_name("web") == "web:latest"
    assert image_name("registry:5000/web") == "registry:5000/web:latest"
    assert image_name("registry:5000/web:1") == "registry:5000/web:1"
