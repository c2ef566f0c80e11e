"""Long selectors are condensed, and mean what their requirements mean one by one."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery import selectors
from tiphys.api.machinery.selectors import FieldRequirement, FieldSelector, Requirement, Selector

KEYS = st.sampled_from("abc")
VALUES = st.sampled_from(("", "1", "2", "3", "x"))
NUMBERS = st.sampled_from(("1", "2", "-3"))
REQUIREMENTS = st.one_of(
    st.builds(lambda key, operator, value: Requirement(key, operator, (value,)), KEYS, st.sampled_from(("=", "==", "!=")), VALUES),
    st.builds(
        lambda key, operator, values: Requirement(key, operator, tuple(sorted(values))),
        KEYS,
        st.sampled_from(("in", "notin")),
        st.sets(VALUES, min_size=1),
    ),
    st.builds(Requirement, KEYS, st.sampled_from(("exists", "!"))),
    st.builds(lambda key, operator, value: Requirement(key, operator, (value,)), KEYS, st.sampled_from((">", "<")), NUMBERS),
)
FIELDS = st.builds(FieldRequirement, KEYS, st.sampled_from(("=", "!=")), VALUES)


@given(st.lists(REQUIREMENTS, min_size=1, max_size=3), st.dictionaries(KEYS, VALUES))
def test_labels(requirements: list[Requirement], labels: dict[str, str]) -> None:
    repeated = list(chain.from_iterable([requirements] * (selectors.FEW + 1)))
    assert Selector(repeated).matches(labels) == all(Selector([one]).matches(labels) for one in requirements)


@given(st.lists(FIELDS, min_size=1, max_size=3), st.dictionaries(KEYS, VALUES))
def test_fields(requirements: list[FieldRequirement], fields: dict[str, str]) -> None:
    repeated = list(chain.from_iterable([requirements] * (selectors.FEW + 1)))
    assert FieldSelector(repeated).matches(fields) == all(FieldSelector([one]).matches(fields) for one in requirements)
