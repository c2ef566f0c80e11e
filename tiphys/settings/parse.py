"""Values of options from their text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_origin

from tiphys.settings.duration import parse_duration
from tiphys.settings.option import Bound, Option, names_in, pairs_in

_TRUE, _FALSE = frozenset({"true", "1", "t"}), frozenset({"false", "0", "f"})


def parsed(one: Bound, text: str) -> Any:
    """Return the value that a text stands for. Raises ValueError, whose message names the value and what it should be."""
    value = _value(one, text)
    if one.option.choices:
        value = _choice(value, one.option.choices)
    check(one.option, value)
    return value


def check(option: Option, value: Any) -> None:
    """Raise ValueError for a value of the right type that the option cannot have."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        check_range(value, option.minimum, option.maximum)
    if option.check is not None:
        option.check(value)


def _value(one: Bound, text: str) -> Any:
    type_ = one.field.type
    if one.option.is_duration:
        return parse_duration(text)
    if type_ is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError(f"{text!r} is not a boolean: give true or false")
        return text.lower() in _TRUE
    if type_ is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
    if type_ is Path:
        return Path(text).absolute() if one.option.is_directory else _file(text)
    if one.option.is_file:
        return str(_file(text))
    if get_origin(type_) is tuple:
        return names_in(text)
    return pairs_in(text) if get_origin(type_) is dict else text


def _file(text: str) -> Path:
    path = Path(text).absolute()
    if path.is_dir():
        raise ValueError(f"{text!r} is a directory, not a file")
    if not path.exists():
        raise ValueError(f"file {text!r} does not exist")
    return path


def _choice(text: str, choices: tuple[str, ...]) -> str:
    chosen = next((one for one in choices if one.lower() == text.lower()), None)
    if chosen is None:
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
    return chosen


def check_range(value: float, minimum: int | None, maximum: int | None) -> None:
    """Raise ValueError for a number outside of a range."""
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        upper = f" and at most {maximum}" if maximum is not None else ""
        raise ValueError(f"{value} is not in the range: it must be at least {0 if minimum is None else minimum}{upper}")
