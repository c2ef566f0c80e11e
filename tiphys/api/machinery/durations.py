"""Lengths of time as Go writes them: `1h30m0s`, `15.02s`, `250ms`; and moments that are so far away."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

FIRST, NEVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""First and last moment that the API can hold: what is due at the last one never comes."""

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_MAX = 2**63 - 1
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:ns|us|µs|μs|ms|s|m|h))++)")
_PART = re.compile("(?<![0-9.])([0-9.]++)([a-zµμ]++)")
_DIGITS = 20
"""Digits of a number that can matter: one of 20 is out of range in any unit."""
_FRACTION = int("1" + "0" * _DIGITS)


def nanoseconds(text: str) -> int:
    """Return the nanoseconds of a length of time. Raises ValueError, also for one of more than 292 years."""
    total = sum(_amount(number, _UNITS[unit]) for number, unit in _PART.findall(text)) if _DURATION.fullmatch(text) else None
    if total is None or total > _MAX:
        raise ValueError(f"{text!r} is not a duration, such as 30s, 1m30s or 250ms")
    return -total if text.startswith("-") else total


def _amount(number: str, unit: int) -> int:
    whole, _, fraction = number.partition(".")
    return int(f"0{whole.lstrip('0')[:_DIGITS]}") * unit + int(fraction[:_DIGITS].ljust(_DIGITS, "0")) * unit // _FRACTION


def seconds(text: str) -> float:
    """Return the seconds of a length of time. Raises ValueError."""
    return nanoseconds(text) / 10**9


def later(moment: datetime, seconds: float) -> datetime:
    """Return the moment so many seconds later, or earlier for a negative number: FIRST or NEVER beyond the years 1 to 9999.

    Periods in the API are 64-bit numbers of seconds, so any moment plus a period has to go through here.
    """
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return NEVER if seconds > 0 else FIRST


def written(nanos: int) -> str:
    """Write a number of nanoseconds as a length of time."""
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if nanos < _UNITS[unit] * 1000:
            return f"{sign}{_decimal(nanos, _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanos, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _UNITS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def _decimal(amount: int, unit: int) -> str:
    whole, fraction = divmod(amount, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
