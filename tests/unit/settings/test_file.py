"""Configuration files are read strictly: what has no effect is a problem, and all problems are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from tiphys.api.machinery.base import Struct, constant, field
from tiphys.api.machinery.durations import seconds
from tiphys.settings.file import ConfigurationError, Only, Sets, Shows, existing_file, read_documents, render, whole
from tiphys.settings.option import Option


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the tree."""

    size: Annotated[int, Option("--size", "Size.", minimum=1, maximum=9)] = 3
    low: int = 0
    high: int = 1


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that the documents set."""

    part: Part = Part()


def split(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not high:
        raise ConfigurationError([(".high", "it is missing")])
    return int(low), int(high)


class Inside(Struct):
    """An object in a document."""

    mode: Annotated[str, Only("calm")] = ""
    odd: str = ""


class Config(Struct):
    """A kind of document."""

    apiVersion: str = constant("example.com/v1")
    kind: str = constant("Config")
    size: Annotated[int, Sets("part.size")] = 0
    reach: Annotated[str, Sets("part.low", "part.high", read=split, show=lambda pair: f"{pair[0]}-{pair[1]}")] = ""
    inside: Inside = field(default_factory=Inside)
    wait: Annotated[str, Only("90s", key=seconds)] = ""
    quiet: Annotated[bool | None, Only(False)] = None
    limit: int | None = None
    spare: bool = False
    place: Annotated[str, Shows(lambda settings: f"at {settings.size}")] = ""


HEAD = "apiVersion: example.com/v1\nkind: Config\n"


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return read_documents(path, {("example.com/v1", "Config"): Config}, Tree)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    return [message for _, message in caught.value.faults]


def test_fields_set_settings(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "size: 4\nreach: 2-5\n") == {"part": {"size": 4, "low": 2, "high": 5}}


@pytest.mark.parametrize("text", ["", "---\n---\n", "# only a remark\n"])
def test_empty_files_set_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


def test_json_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, '{"apiVersion": "example.com/v1", "kind": "Config", "size": 4}') == {"part": {"size": 4}}


def test_values_that_mean_nothing_is_set_are_left_alone(tmp_path: Path) -> None:
    text = 'size: 0\nreach: ""\nwait: 0s\nquiet: null\nspare: false\nplace: ""\ninside: {mode: "", odd: ""}\n'
    assert read(tmp_path, HEAD + text) == {}


def test_the_only_value_is_accepted_in_any_spelling(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "wait: 1m30s\nquiet: false\ninside: {mode: calm}\n") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes: 4", "Config: sizes: this kind has no such field: remove it or correct its name"),
        ("inside: {modes: x}", "Config: inside.modes: this kind has no such field: remove it or correct its name"),
        ("size: many", "Config: size: it must be a whole number of 32 bits, not a string"),
        ("size: 10", "Config: size: 10 is not in the range: it must be at least 1 and at most 9"),
        ("spare: 1", "Config: spare: it must be true or false, not a number"),
        ("spare: true", "Config: spare: Tiphys does not support this field: remove it"),
        ("limit: 0", "Config: limit: Tiphys does not support this field: remove it"),
        ("quiet: true", "Config: quiet: Tiphys supports only false here: set it to that, or remove the field"),
        ("wait: 5m", "Config: wait: Tiphys supports only 90s here: set it to that, or remove the field"),
        ("wait: soon", "Config: wait: 'soon' is not a duration, such as 30s, 1m30s or 250ms"),
        ("inside: {mode: wild}", "Config: inside.mode: Tiphys supports only calm here: set it to that, or remove the field"),
        ("place: here", "Config: place: Tiphys chooses this itself: remove the field"),
        ("reach: '5'", "Config: reach.high: it is missing"),
        ("size: 4\nsize: 5", 'document 1: line 4: key "size" already set in map: remove one'),
    ],
)
def test_values_without_effect_are_problems(tmp_path: Path, text: str, message: str) -> None:
    assert problems(tmp_path, HEAD + text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "document 1: it must be an object with apiVersion and kind"),
        ("size: 4", 'document 1: kind "" of apiVersion "" is not read here, only Config of example.com/v1'),
        ("apiVersion: example.com/v2\nkind: Config", 'document 1: kind "Config" of apiVersion "example.com/v2" is not read here'),
        (f"{HEAD}---\n{HEAD}", "document 2: there is a Config already: join them"),
        (f"{HEAD}--- # next\na: [", "document 2: yaml: "),
        (b"\xff\xfe\x00".decode("latin-1"), "document 1: "),
    ],
)
def test_other_documents_are_problems(tmp_path: Path, text: str, message: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(message)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + "size: many\nreach: 5\nspare: true\n---\nkind: Odd\n---\n- 1\n")
    assert [line.partition(":")[0] for line in found] == ["Config", "Config", "Config", "document 2", "document 3"]


def test_an_unknown_field_hides_no_other_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + "inside: {odder: x, mode: wild, odd: y}\n")
    assert [line.split(": ")[1] for line in found] == ["inside.odder", "inside.mode", "inside.odd"]


def test_a_number_of_the_wrong_type_is_one_problem(tmp_path: Path) -> None:
    """Its zero value is not looked at any further."""
    assert len(problems(tmp_path, HEAD + "limit: x\n")) == 1


def test_settings_are_shown_in_the_form_of_the_kind() -> None:
    assert render(Config, Part(size=4, low=2, high=5)) == {
        "apiVersion": "example.com/v1",
        "kind": "Config",
        "size": 4,
        "reach": "2-5",
        "inside": {"mode": "calm"},
        "wait": "90s",
        "quiet": False,
        "place": "at 4",
    }


def test_files_must_exist(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    assert existing_file(str(tmp_path / "there")) == tmp_path / "there"
    for text, message in (("there", "not an absolute path"), (str(tmp_path / "gone"), "does not exist"), (str(tmp_path), "does not exist")):
        with pytest.raises(ValueError, match=message):
            existing_file(text)


def test_whole_numbers_have_a_range() -> None:
    assert whole(1)(1) == 1
    with pytest.raises(ValueError, match="at least 1 and at most 3"):
        whole(1, 3)(4)
