"""Schedules of cron jobs and their time zones ("CronJob: Schedule syntax").

Five fields (minute, hour, day of month, month, day of week), each a list of ranges with steps, or a word such as `@daily` or
`@every 1h30m`. Mistakes are reported in the words that clients of the API know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class _Field(NamedTuple):
    low: int
    high: int
    names: Mapping[str, int]


_MONTHS = dict(zip(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), range(1, 13), strict=True))
_DAYS = dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True))
_FIELDS = (_Field(0, 59, {}), _Field(0, 23, {}), _Field(1, 31, {}), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))
_WORDS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))
_EVERY = "@every "
_ZONE = re.compile("(?:CRON_)?TZ=")
_NUMBER = re.compile("[+-]?[0-9]+")
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:ns|us|µs|μs|ms|s|m|h))++)")
_ZONE_PART = re.compile(r"[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}")


class _Wrong(Exception):
    """A schedule that cannot be parsed."""


@lru_cache(4096)
def schedule_message(text: str) -> str:
    """Return the mistake in a schedule, or ""."""
    try:
        _check(text)
    except _Wrong as wrong:
        return str(wrong)
    return ""


def _check(text: str) -> None:
    if not text:
        raise _Wrong("empty spec string")
    if zone := _ZONE.match(text):
        # Old objects may still name a zone in the schedule.
        name, space, text = text[zone.end() :].partition(" ")
        if not space:
            raise _Wrong("invalid schedule: a time zone must be followed by a schedule")
        if not is_zone(name or "UTC"):
            raise _Wrong(f"provided bad location {name}: unknown time zone {name}")
        text = text.strip()
    if text.startswith("@"):
        _check_word(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise _Wrong(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    for value, field in zip(fields, _FIELDS, strict=True):
        for part in filter(None, value.split(",")):
            _check_range(part, field)


def _check_word(text: str) -> None:
    if text in _WORDS:
        return
    if not text.startswith(_EVERY):
        raise _Wrong(f"unrecognized descriptor: {text}")
    length = text[len(_EVERY) :]
    if not _DURATION.fullmatch(length):
        raise _Wrong(f"failed to parse duration {text}: time: invalid duration {_quoted(length)}")


def _check_range(text: str, field: _Field) -> None:
    """`*`, `5`, `1-5`, any of them with `/step`; names stand for months and days."""
    span, *steps = text.split("/")
    first, *more = span.split("-")
    if first in ("*", "?"):
        low, high = field.low, field.high
    else:
        low = high = _value(first, field)
        if len(more) == 1:
            high = _value(more[0], field)
        elif more:
            raise _Wrong(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise _Wrong(f"too many slashes: {text}")
    step = _number(steps[0]) if steps else 1
    if steps and not more:
        high = field.high
    if low < field.low:
        raise _Wrong(f"beginning of range ({low}) below minimum ({field.low}): {text}")
    if high > field.high:
        raise _Wrong(f"end of range ({high}) above maximum ({field.high}): {text}")
    if low > high:
        raise _Wrong(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if not step:
        raise _Wrong(f"step of range should be a positive number: {text}")


def _value(text: str, field: _Field) -> int:
    named = field.names.get(text.lower())
    return _number(text) if named is None else named


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _Wrong(f"failed to parse int from {text}: strconv.Atoi: parsing {_quoted(text)}: invalid syntax")
    if len(text) > 19:
        raise _Wrong(f"failed to parse int from {text}: strconv.Atoi: parsing {_quoted(text)}: value out of range")
    number = int(text)
    if number < 0:
        raise _Wrong(f"negative number ({number}) not allowed: {text}")
    return number


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def time_zone_messages(name: str) -> list[str]:
    """Return the mistakes in the name of a time zone."""
    if not name:
        return ["timeZone must be nil or non-empty string"]
    if any(part in (".", "..") or not _ZONE_PART.fullmatch(part) for part in name.split("/")):
        return [f"unknown time zone {name}"]
    if name.lower() == "local":
        wrong = ["timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"]
        return wrong if name == "Local" else [*wrong, f"unknown time zone {name}"]
    return [] if is_zone(name) else [f"unknown time zone {name}"]


@lru_cache(1024)
def is_zone(name: str) -> bool:
    """True if the machine's time zone database knows the zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
