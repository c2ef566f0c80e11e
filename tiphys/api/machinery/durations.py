"""Lengths of time as Go writes them: `1h30m0s`, `15.02s`, `250ms`."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d{1,18}(?:\.\d{1,18})?|\.\d{1,18})(ns|us|µs|ms|s|m|h)")


def nanoseconds(text: str) -> int:
    """Return the nanoseconds of a length of time. Raises ValueError."""
    sign, body = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    if body == "0":
        return 0
    parts = _PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"{text!r} is not a duration, such as 30s, 1m30s or 250ms")
    total = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in parts)
    return -total if sign == "-" else total


def seconds(text: str) -> float:
    """Return the seconds of a length of time. Raises ValueError."""
    return nanoseconds(text) / 10**9


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
