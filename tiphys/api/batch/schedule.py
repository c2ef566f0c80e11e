"""Schedules of cron jobs and their time zones ("CronJob: Schedule syntax").

Five fields (minute, hour, day of month, month, day of week), each a list of ranges with steps, or a word such as `@daily` or
`@every 1h30m`. Mistakes are reported in the words that clients of the API know. The times of a schedule: `controllers/cronjob/times.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiphys.api.machinery import durations
from tiphys.api.machinery.cached import cached


class _Field(NamedTuple):
    low: int
    high: int
    names: Mapping[str, int]


class Fields(NamedTuple):
    """Values that the fields of a schedule allow: bit N stands for the value N."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    """Sunday is 0."""
    either_day: bool
    """True if a day need match only one of `days` and `weekdays`: when neither field is a star."""


class Every(NamedTuple):
    """Times at a constant distance, in seconds, at least 1."""

    seconds: int


class Schedule(NamedTuple):
    """A schedule, parsed."""

    rule: Fields | Every
    zone: str | None
    """Time zone named within the schedule, as old objects may: "" for UTC, None for none."""


class ScheduleError(ValueError):
    """A schedule that cannot be parsed."""


_MONTHS = dict(zip(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), range(1, 13), strict=True))
_DAYS = dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True))
_FIELDS = (_Field(0, 59, {}), _Field(0, 23, {}), _Field(1, 31, {}), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
MAX_LENGTH = 16 << 10
"""Characters of a schedule, far more than there are different values: the controller parses it beside all others."""
_ZONE = re.compile("(?:CRON_)?TZ=")
_NUMBER = re.compile("[+-]?[0-9]+")
_LONGEST_ZONE = 64
"""Characters of a zone's name, twice as many as any has: the library looks for longer ones without end."""
_ZONE_PART = re.compile(r"[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}")


def schedule_message(text: str) -> str:
    """Return the mistake in a schedule, or ""."""
    try:
        parse_schedule(text)
    except ScheduleError as error:
        return str(error)
    return ""


@cached()
def parse_schedule(text: str) -> Schedule:
    """Parse a schedule; raises ScheduleError with a message for people."""
    if not text:
        raise ScheduleError("empty spec string")
    if len(text) > MAX_LENGTH:
        raise ScheduleError(f"too long: may not be more than {MAX_LENGTH} characters")
    zone = None
    if prefix := _ZONE.match(text):
        # Old objects may still name a zone in the schedule.
        zone, space, text = text[prefix.end() :].partition(" ")
        if not space:
            raise ScheduleError("invalid schedule: a time zone must be followed by a schedule")
        if not is_zone(zone or "UTC"):
            raise ScheduleError(f"provided bad location {zone}: unknown time zone {zone}")
        text = text.strip()
    if text.startswith(_EVERY):
        return Schedule(_every(text), zone)
    if text.startswith("@"):
        if text not in _WORDS:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    return Schedule(_fields(text), zone)


def _every(text: str) -> Every:
    length = text[len(_EVERY) :]
    try:
        seconds = durations.nanoseconds(length) // 10**9
    except ValueError:
        raise ScheduleError(f"failed to parse duration {text}: time: invalid duration {_quoted(length)}") from None
    # Fractions of a second do not count, and what is shorter, or negative, is a second.
    return Every(max(seconds, 1))


def _fields(text: str) -> Fields:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ScheduleError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    bits: list[int] = []
    stars: list[bool] = []
    for value, field in zip(fields, _FIELDS, strict=True):
        ranges = [_range(part, field) for part in dict.fromkeys(value.split(",")) if part]
        bits.append(sum({1 << number for values, _ in ranges for number in values}))
        stars.append(any(star for _, star in ranges))
    minutes, hours, days, months, weekdays = bits
    return Fields(minutes, hours, days, months, weekdays, either_day=not stars[2] and not stars[4])


def _range(text: str, field: _Field) -> tuple[range, bool]:
    """Return the values of a range, and whether it is a star.

    It is `*`, `5` or `1-5`, any of them with `/step`; names stand for months and days.
    """
    span, *steps = text.split("/")
    first, *more = span.split("-")
    star = first in ("*", "?")
    if star:
        low, high = field.low, field.high
    else:
        low = high = _value(first, field)
        if len(more) == 1:
            high = _value(more[0], field)
        elif more:
            raise ScheduleError(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {text}")
    step = _number(steps[0]) if steps else 1
    if steps and not more:
        high = field.high
    if low < field.low:
        raise ScheduleError(f"beginning of range ({low}) below minimum ({field.low}): {text}")
    if high > field.high:
        raise ScheduleError(f"end of range ({high}) above maximum ({field.high}): {text}")
    if low > high:
        raise ScheduleError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if not step:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return range(low, high + 1, step), star and step == 1


def _value(text: str, field: _Field) -> int:
    named = field.names.get(text.lower())
    return _number(text) if named is None else named


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ScheduleError(f"failed to parse int from {text}: strconv.Atoi: parsing {_quoted(text)}: invalid syntax")
    if len(text) > 19:
        raise ScheduleError(f"failed to parse int from {text}: strconv.Atoi: parsing {_quoted(text)}: value out of range")
    number = int(text)
    if number < 0:
        raise ScheduleError(f"negative number ({number}) not allowed: {text}")
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


def is_zone(name: str) -> bool:
    """True if the machine's time zone database knows the zone."""
    return len(name) <= _LONGEST_ZONE and _is_known(name)


@cached()
def _is_known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
