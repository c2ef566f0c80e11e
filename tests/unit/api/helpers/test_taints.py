"""Taints that a toleration covers."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.helpers.taints import tolerates

T = core.Toleration


TAINT = core.Taint(key="k", value="5", effect="NoExecute")


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        (T(operator="Exists"), True),
        (T(key="k", operator="Exists"), True),
        (T(key="k", value="5"), True),
        (T(key="k", value="6"), False),
        (T(key="k", operator="Equal", value="5", effect="NoExecute"), True),
        (T(key="k", operator="Exists", effect="NoSchedule"), False),
        (T(operator="Exists", effect="NoSchedule"), False),
        (T(key="j", operator="Exists"), False),
        (T(value="5"), True),  # validation refuses it; the meaning of an absent key is "any"
        (T(key="k", operator="Lt", value="9"), True),
        (T(key="k", operator="Gt", value="9"), False),
        (T(key="k", operator="Gt", value="many"), False),
    ],
)
def test_coverage_of_tolerations(toleration: core.Toleration, covers: bool) -> None:
    assert tolerates(toleration, TAINT) is covers
