"""Converters between the values of KubeletConfiguration and those of settings: read from the file, shown on `/configz`.

Readers raise ValueError, or ConfigurationError with a path for each part of a list that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tiphys.api.core.v1 import Taint
from tiphys.api.machinery import durations, quantity
from tiphys.node.eviction.thresholds import amount_faults
from tiphys.node.host import machine
from tiphys.node.host.allocatable import reserve_faults
from tiphys.node.host.cpuset import format_cpus, parse_cpus
from tiphys.node.pod.backoff import MAX_BACKOFF
from tiphys.node.pulls.verification import pattern_error
from tiphys.node.resources import alignment
from tiphys.node.resources.cpu.options import read_options
from tiphys.node.settings import EFFECTS
from tiphys.settings.file import ConfigurationError, Only, Sets, existing_file

SHORTEST_LOG_INTERVAL = 3.0
ENFORCEABLE = ("pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible", "none")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def written(seconds: float) -> str:
    """Return seconds as a duration of Go."""
    return durations.written(round(seconds * 10**9))


def duration(path: str) -> Sets:
    """Return the annotation of a field with a positive duration."""
    return Sets(path, read=positive, show=written)


def positive(text: str) -> float:
    """Return the seconds of a positive duration."""
    seconds = durations.seconds(text)
    if seconds <= 0:
        raise ValueError(f"{text} must be longer than 0s")
    return seconds


def not_negative(text: str) -> float:
    """Return the seconds of a duration that is not negative."""
    seconds = durations.seconds(text)
    if seconds < 0:
        raise ValueError(f"{text} must not be negative")
    return seconds


def share(number: float) -> float:
    """Return a number above 0 and up to 1."""
    if not 0 < number <= 1:
        raise ValueError(f"{number} must be greater than 0 and at most 1")
    return number


def restart_period(text: str) -> float:
    """Return the seconds of the longest pause between restarts."""
    seconds = durations.seconds(text)
    if not 1 <= seconds <= MAX_BACKOFF:
        raise ValueError(f"{text} is not in the range: it must be at least 1s and at most {written(MAX_BACKOFF)}")
    return seconds


def log_interval(text: str) -> float:
    """Return the seconds between looks at the sizes of logs."""
    seconds = durations.seconds(text)
    if seconds < SHORTEST_LOG_INTERVAL:
        raise ValueError(f"{text} must be at least {written(SHORTEST_LOG_INTERVAL)}")
    return seconds


def second_or_more(text: str) -> float:
    """Return the seconds of a duration that is zero or at least one second."""
    seconds = durations.seconds(text)
    if seconds < 0 or 0 < seconds < 1:
        raise ValueError(f"{text} must be 0s, or at least 1s")
    return seconds


def only_seconds(seconds: float) -> Only:
    """Return the annotation of a field for which only this duration, in seconds, is supported."""
    return Only(written(seconds), key=durations.seconds)


def file(path: str) -> Sets:
    """Return the annotation of a field with the path of an existing file."""
    return Sets(path, read=existing_file, show=lambda value: str(value or ""))


def size(text: str) -> int:
    """Return the bytes of a quantity."""
    try:
        size = quantity.whole(text)
    except ValueError:
        size = 0
    if size <= 0:
        raise ValueError(f"{text} is not a size such as 10Mi")
    return size


def is_one(number: int) -> bool:
    """Return whether images are pulled one at a time."""
    return number == 1


def serialized(on: bool) -> int | None:
    """Return the maximum number of parallel pulls for `serializeImagePulls`, None for no change."""
    return 1 if on else None


def allowlist(patterns: list[str]) -> tuple[str, ...]:
    """Return patterns of images that need no verification."""
    faults = [(f"[{number}]", f"{one}: {fault}") for number, one in enumerate(patterns) if (fault := pattern_error(one))]
    if faults:
        raise ConfigurationError(faults)
    return tuple(patterns)


def address(text: str) -> str:
    """Return an IP address in its usual form."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text} is not an IP address") from None


def absolute(text: str) -> Path:
    """Return an absolute path."""
    if not text.startswith("/"):
        raise ValueError(f"{text} is not an absolute path")
    return Path(text)


def url(text: str) -> str:
    """Return a URL of HTTP."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text} is not a URL such as https://192.0.2.1/pods.yaml")
    return text


def read_header(header: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Return the headers of requests, after checking their names and values."""
    faults = [(f"[{name}]", "it is not the name of a header") for name in header if not _HEADER.fullmatch(name)]
    faults += [
        (f"[{name}][{number}]", "a value must be one line")
        for name, values in header.items()
        for number, value in enumerate(values)
        if any(letter in value for letter in "\r\n\0")
    ]
    if faults:
        raise ConfigurationError(faults)
    return {name: tuple(values) for name, values in header.items()}


def show_header(header: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return headers without their values, which are often credentials, as upstream."""
    return {name: ["<masked>"] for name in header}


def read_taints(taints: list[Taint]) -> tuple[str, ...]:
    """Return taints in the form `key=value:effect`."""
    faults = [
        (f"[{number}].effect", f'"{taint.effect}" is not one of {", ".join(EFFECTS)}')
        for number, taint in enumerate(taints)
        if taint.effect not in EFFECTS
    ]
    faults += [(f"[{number}].key", "it must not be empty") for number, taint in enumerate(taints) if not taint.key]
    if faults:
        raise ConfigurationError(faults)
    return tuple(f"{taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}" for taint in taints)


def show_taints(texts: tuple[str, ...]) -> list[dict[str, str]]:
    """Return taints as the file has them."""
    return [_taint(text) for text in texts]


def _taint(text: str) -> dict[str, str]:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, **({"value": value} if value else {}), "effect": effect}


def checked(faults: Callable[[Any], Iterable[tuple[str, str]]]) -> Callable[[Any], Any]:
    """Return a reader that keeps the value as it is, once `faults` has found nothing in it."""

    def read(value: Any) -> Any:
        wrong = list(faults(value))
        if wrong:
            raise ConfigurationError(wrong)
        return value

    return read


thresholds = checked(partial(amount_faults, threshold=True))
least = checked(partial(amount_faults, threshold=False))
reserve = checked(reserve_faults)


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that accepts only these texts."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f'"{text}" is not one of {", ".join(choices)}')
        return text

    return read


def cpu_options(values: dict[str, str]) -> dict[str, str]:
    """Return the options of the CPU policy after checking them."""
    read_options(values)
    return values


def topology_options(values: dict[str, str]) -> dict[str, str]:
    """Return the options of the topology policy after checking them."""
    alignment.read_options(values)
    return values


def cpus(text: str) -> str:
    """Return a set of cores that the machine has."""
    if not parse_cpus(text) <= machine.cpus():
        raise ValueError(f"{text} has cores that the machine lacks: it has {format_cpus(machine.cpus())}")
    return text


def read_enforced(groups: list[str]) -> tuple[str, ...]:
    """Return the groups of `enforceNodeAllocatable`, without `none`."""
    faults = []
    for number, group in enumerate(groups):
        if group not in ENFORCEABLE:
            faults.append((f"[{number}]", f'"{group}" is not one of {", ".join(ENFORCEABLE)}'))
        elif group in groups[:number]:
            faults.append((f"[{number}]", f'"{group}" is there already'))
        elif group.endswith("-compressible") and group.removesuffix("-compressible") in groups:
            faults.append((f"[{number}]", f'"{group}" cannot stand beside "{group.removesuffix("-compressible")}"'))
        elif group == "none" and len(groups) > 1:
            faults.append((f"[{number}]", '"none" cannot stand beside others'))
    if faults:
        raise ConfigurationError(faults)
    return tuple(group for group in groups if group != "none")
