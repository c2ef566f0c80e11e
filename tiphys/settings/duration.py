"""Durations of the command line as text. Configuration files have those of Go (`tiphys.api.machinery.durations`)."""

from __future__ import annotations

import re

_SHORT = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> int:
    """Parse a duration of the command line such as 3600, 90m, 24h or 1h30m into seconds; raises ValueError."""
    parts = re.findall(r"(\d+)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 90m, 24h or 3600")
    return sum(int(number) * _SHORT[unit] for number, unit in parts)


def duration_text(seconds: float) -> str:
    """Return a duration in its largest whole unit up to hours: 60s, 5m, 24h."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds > size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds) if seconds == int(seconds) else seconds}s"
