"""Times at which taints evict pods."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.unit.controllers.make import ago
from tiphys.api.core import v1 as core
from tiphys.controllers.taints.plan import leave_at

T = core.Toleration


TAINT = core.Taint(key="k", value="5", effect="NoExecute")


@pytest.mark.parametrize(
    ("tolerations", "moment"),
    [
        ([], ago(10)),
        ([T(operator="Exists")], None),
        ([T(operator="Exists", tolerationSeconds=30)], ago(-20)),
        ([T(operator="Exists", tolerationSeconds=30), T(key="k", operator="Exists", tolerationSeconds=5)], ago(5)),
        ([T(operator="Exists"), T(key="k", operator="Exists", tolerationSeconds=5)], ago(5)),
        ([T(operator="Exists", tolerationSeconds=-1)], ago(10)),
    ],
)
def test_time_of_eviction(tolerations: list[core.Toleration], moment: datetime | None) -> None:
    assert leave_at([TAINT], tolerations, [ago(10)]) == moment


def test_every_taint_must_be_tolerated() -> None:
    other = core.Taint(key="j", effect="NoExecute")
    assert leave_at([TAINT, other], [T(key="k", operator="Exists")], [ago(10), ago(3)]) == ago(10)
    assert leave_at([], [], []) is None
