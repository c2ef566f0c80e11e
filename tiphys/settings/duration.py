"""Durations as text: those of the command line, and those of Go that configuration files and the API use."""

from __future__ import annotations

import re

_SHORT = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_GO = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> int:
    """Parse a duration of the command line such as 3600, 90m, 24h or 1h30m into seconds; raises ValueError."""
    parts = re.findall(r"(\d+)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 90m, 24h or 3600")
    return sum(int(number) * _SHORT[unit] for number, unit in parts)


def parse_go_duration(text: str) -> float:
    """Parse a duration of Go such as 1m30s, 0.5s or 100ms into seconds; raises ValueError."""
    parts = _GO_PART.findall(text)
    if text == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 1m30s, 10s or 100ms")
    return sum(float(number) * _GO[unit] for number, unit in parts)


def duration_text(seconds: float) -> str:
    """Return a duration in its largest whole unit up to hours: 60s, 5m, 24h."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds > size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds) if seconds == int(seconds) else seconds}s"


def go_duration(seconds: float) -> str:
    """Return a duration as the API writes it: 1h30m0s, 45s, 0s."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{seconds - whole:.3f}".rstrip("0").rstrip(".")[1:] if seconds != whole else ""
    text = f"{rest}{fraction}s"
    if whole >= 60:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
