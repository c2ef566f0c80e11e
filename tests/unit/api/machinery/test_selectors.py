"""Selectors: what they match, how they are written, and what is said about those that cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.selectors import EVERYTHING, NOTHING, SelectorError, from_label_selector, from_map, parse_fields, parse_labels
from tiphys.api.meta.v1 import LabelSelector, LabelSelectorRequirement

LABELS = {"app": "web", "tier": "front", "weight": "7", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("missing=x", False),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app in (db, web)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("app notin (web)", False),
        ("missing notin (a)", True),
        ("weight>5", True),
        ("weight<5", False),
        ("app>5", False),
        ("empty=", True),
        ("missing=", False),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (,web)", True),
        ("in in (in)", False),
    ],
)
def test_matching(text: str, matches: bool) -> None:
    assert parse_labels(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("app=web", ("app", "web")),
        ("app in (web)", ("app", "web")),
        ("empty=", ("empty", "")),
        ("app!=web", None),
        ("app", None),
        ("a=b,c=d", None),
    ],
)
def test_one_label_and_value_are_the_whole_selector(text: str, pair: tuple[str, str] | None) -> None:
    assert parse_labels(text).pair == pair


def test_a_selector_of_nothing_has_no_pair() -> None:
    assert (NOTHING.pair, EVERYTHING.pair) == (None, None)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("b=1, a=2", "a=2,b=1"),
        ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
        ("!a", "!a"),
        ("example.com/k==v", "example.com/k==v"),
    ],
)
def test_spelling(text: str, spelled: str) -> None:
    assert str(parse_labels(text)) == spelled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a in", "unable to parse requirement: found '' expected: '('"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, >, <"),
        ("a,", "found '', expected: identifier after ','"),
        ("a^b=1", "name part must consist of alphanumeric characters"),
        ("a=" + "x" * 64, "must be no more than 63 bytes"),
        ("a>x", "the value must be an integer"),
    ],
)
def test_unreadable_label_selectors(text: str, said: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_labels(text)
    assert said in str(caught.value)


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(st.dictionaries(names, names, max_size=4), st.dictionaries(names, names, max_size=4))
def test_a_map_selects_exactly_its_supersets(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = from_map(wanted)
    assert selector.matches(labels) is (wanted.items() <= labels.items())
    assert parse_labels(str(selector)) == selector
    assert selector.matches({**labels, **wanted})


def test_label_selectors_of_objects() -> None:
    selector = LabelSelector(
        matchLabels={"app": "web"},
        matchExpressions=[
            LabelSelectorRequirement(key="tier", operator="In", values=["front", "back"]),
            LabelSelectorRequirement(key="gone", operator="DoesNotExist"),
        ],
    )
    assert from_label_selector(selector).matches(LABELS)
    assert str(from_label_selector(selector)) == "app=web,!gone,tier in (back,front)"
    assert from_label_selector(None) is NOTHING
    assert not NOTHING.matches({})
    assert from_label_selector(LabelSelector()) is EVERYTHING
    assert EVERYTHING.empty
    assert not NOTHING.empty
    with pytest.raises(SelectorError, match="not a valid label selector operator"):
        from_label_selector(LabelSelector(matchExpressions=[LabelSelectorRequirement(key="a", operator="Like")]))


def test_pinned_values_for_indexes() -> None:
    assert parse_labels("app=web,tier in (a)").equal("tier") == "a"
    assert parse_labels("app in (a,b)").equal("app") is None
    assert parse_fields("spec.nodeName=n1,status.phase!=Failed").equal("spec.nodeName") == "n1"
    assert parse_fields("status.phase!=Failed").equal("status.phase") is None


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("a=1", True),
        ("a==1", True),
        ("a!=1", False),
        ("a=1,b=2", False),
        ("missing=", True),
        ("b=x\\,y", True),
        (",a=1,", True),
    ],
)
def test_field_matching(text: str, matches: bool) -> None:
    assert parse_fields(text).matches({"a": "1", "b": "x,y"}) is matches


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
    ],
)
def test_unreadable_field_selectors(text: str, said: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_fields(text)
    assert str(caught.value) == said


def test_fields_that_a_kind_does_not_have() -> None:
    selector = parse_fields("spec.nodeName=a")
    selector.require({"metadata.name", "spec.nodeName"})
    with pytest.raises(SelectorError, match=r"field label not supported: spec\.nodeName"):
        selector.require({"metadata.name", "status.phase"})
    with pytest.raises(SelectorError, match=r'"spec\.nodeName" is not a known field selector: only "metadata\.name", "m'):
        selector.require({"metadata.name", "metadata.namespace"})


@given(st.dictionaries(names, st.text(max_size=8), max_size=3))
def test_field_selectors_survive_being_written(fields: dict[str, str]) -> None:
    from tiphys.api.machinery.selectors import FieldRequirement, FieldSelector

    selector = FieldSelector(FieldRequirement(name, "=", value) for name, value in fields.items())
    assert parse_fields(str(selector)).requirements == selector.requirements
