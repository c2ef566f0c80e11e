"""Options are derived from fields: help, types, values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from tiphys.settings.duration import duration_text
from tiphys.settings.layers import convert, merged, nest, options_of
from tiphys.settings.option import Option, bound, extended, replaced
from tiphys.settings.parse import parsed


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A part that is a dataclass."""

    wait: Annotated[float, Option("--wait", "Time to wait. More is better.", is_duration=True)] = 90.0
    names: Annotated[tuple[str, ...], Option("--names", "Names.", default="none")] = ()


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is a struct."""

    size: Annotated[int, Option("--size", "Size of it.", minimum=1, maximum=9)] = 3
    inner: Inner = Inner()
    labels: Annotated[dict[str, str], Option("--labels", "Labels.", default="none")] = {}
    file: Annotated[Path | None, Option("--file", "File.", default="none")] = None
    deep: Annotated[bool, Option("--deep-down", "Whether to go down.")] = False
    plain: str = "x"


class More(Outer, frozen=True, kw_only=True):
    """Settings with facts that options do not set."""

    root: str


OPTIONS = options_of(Outer)


def test_options_follow_the_order_of_fields() -> None:
    assert [(one.option.flag, one.path) for one in bound(Outer)] == [
        ("--size", ("size",)),
        ("--wait", ("inner", "wait")),
        ("--names", ("inner", "names")),
        ("--labels", ("labels",)),
        ("--file", ("file",)),
        ("--deep-down", ("deep",)),
    ]


def test_help_shows_the_default_after_its_first_sentence() -> None:
    assert OPTIONS["size"].help == "Size of it (default 3)."
    assert OPTIONS["wait"].help == "Time to wait (default 90s). More is better."
    assert OPTIONS["names"].help == "Names (default: none)."
    assert OPTIONS["deep_down"].help == "Whether to go down (default false)."


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "9", 9),
        ("wait", "1m30s", 90),
        ("names", "a, b,", ("a", "b")),
        ("names", "", ()),
        ("labels", "a=b,c=", {"a": "b", "c": ""}),
        ("deep_down", "TRUE", True),
        ("deep_down", "0", False),
    ],
)
def test_values_have_the_type_of_the_field(name: str, text: str, value: object) -> None:
    assert parsed(OPTIONS[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("size", "0"), ("size", "10"), ("size", "1.5"), ("wait", "soon"), ("labels", "=b"), ("deep_down", ""), ("file", "/")],
)
def test_other_values_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text or "boolean"):
        parsed(OPTIONS[name], text)


def test_upper_layers_count_more_and_leave_the_rest() -> None:
    lower = nest({("inner", "wait"): 1.0, ("labels",): {"a": "b"}, ("size",): 5})
    upper = nest({("inner", "names"): ("n",), ("labels",): {"c": "d"}})
    settings = convert(Outer, merged(Outer, lower, upper))
    assert settings == Outer(size=5, inner=Inner(wait=1.0, names=("n",)), labels={"c": "d"})


@pytest.mark.parametrize("layer", [{"size": "5"}, {"inner": {"wait": "x"}}, {"file": 5}, {"names": "a"}])
def test_values_of_another_type_are_refused(layer: dict[str, Any]) -> None:
    if "names" in layer:
        layer = {"inner": layer}
    with pytest.raises(msgspec.ValidationError):
        convert(Outer, layer)


def test_facts_extend_what_options_set() -> None:
    made = extended(More, Outer(size=4), root="/r", plain="y")
    assert made == More(size=4, root="/r", plain="y")


def test_both_sorts_of_settings_can_be_replaced() -> None:
    assert replaced(Inner(), wait=2.0) == Inner(wait=2.0)
    assert replaced(Outer(), size=2) == Outer(size=2)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (60, "60s"), (90, "90s"), (120, "2m"), (7200, "2h"), (31536000, "8760h"), (0.5, "0.5s")]
)
def test_durations_are_shown_in_one_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
