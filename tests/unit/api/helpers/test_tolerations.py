"""Tolerations put together from several lists."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tiphys.api.core.v1 import Toleration
from tiphys.api.helpers.tolerations import _covers, merged


def by_comparing_all(tolerations: list[Toleration]) -> list[Toleration]:
    kept: list[Toleration] = []
    for index, toleration in enumerate(tolerations):
        later = tolerations[index + 1 :]
        if not any(_covers(other, toleration) for other in kept) and not any(
            other != toleration and _covers(other, toleration) for other in later
        ):
            kept.append(toleration)
    return kept


_keys = st.sampled_from(("", "a", "b"))
_effects = st.sampled_from(("", "NoSchedule"))
_operators = st.sampled_from(("", "Equal", "Gt"))
_values = st.sampled_from(("", "v", "w"))
_seconds = st.sampled_from((None, 1, 2, 3))
_tolerations = st.one_of(
    st.builds(Toleration, key=_keys, operator=_operators, value=_values, effect=_effects),
    st.builds(Toleration, key=_keys, operator=st.just("Exists"), effect=_effects),
    st.builds(Toleration, key=_keys, operator=_operators, value=_values, effect=st.just("NoExecute"), tolerationSeconds=_seconds),
    st.builds(Toleration, key=_keys, operator=st.just("Exists"), effect=st.just("NoExecute"), tolerationSeconds=_seconds),
)


def _lasting(seconds: int) -> Toleration:
    return Toleration(key="b", operator="Gt", effect="NoExecute", tolerationSeconds=seconds)


@example([_lasting(2), _lasting(3), _lasting(2)])
@given(st.lists(_tolerations, max_size=7))
def test_as_comparing_all(tolerations: list[Toleration]) -> None:
    assert merged(tolerations[:3], tolerations[3:]) == by_comparing_all(tolerations)
