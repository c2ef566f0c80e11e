"""Times at which taints evict pods."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.unit.controllers.make import NOW, ago
from tiphys.api.core import v1 as core
from tiphys.api.machinery.durations import NEVER
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
        ([T(operator="Exists", tolerationSeconds=2**63 - 1)], NEVER),
        ([T(operator="Exists", tolerationSeconds=2**63 - 1), T(key="k", operator="Exists", tolerationSeconds=5)], ago(5)),
    ],
)
def test_time_of_eviction(tolerations: list[core.Toleration], moment: datetime | None) -> None:
    assert leave_at([TAINT], tolerations, [ago(10)]) == moment


def test_every_taint_must_be_tolerated() -> None:
    other = core.Taint(key="j", effect="NoExecute")
    assert leave_at([TAINT, other], [T(key="k", operator="Exists")], [ago(10), ago(3)]) == ago(10)
    assert leave_at([], [], []) is None


def test_a_taint_that_is_tolerated_for_ever_hides_no_other() -> None:
    other = core.Taint(key="j", effect="NoExecute")
    tolerations = [T(key="k", operator="Exists", tolerationSeconds=2**63 - 1), T(key="j", operator="Exists", tolerationSeconds=10)]
    assert leave_at([TAINT, other], tolerations, [ago(10), ago(10)]) == NOW
