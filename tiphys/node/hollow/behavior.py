"""Behavior of hollow pods: how long their containers take to start, when and how they end. Pure.

A behavior is put together field by field: annotations of the pod first (`hollow.tiphys.io/run: 30s`), then the rules of a file in their
order, then the defaults. Times are seconds, as numbers or as text such as `1m30s` or `250ms`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import durations

PREFIX = "hollow.tiphys.io/"
"""Beginning of the annotations that steer a pod or a node."""
LOST = PREFIX + "lost"
"""Annotation of a node: while it is "true" the node is silent, and so are its pods."""


class BehaviorError(ValueError):
    """Error in an annotation or a rule; the text names the field, what it holds and what it may hold."""


class Behavior(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Behavior of the containers of a pod. A field that is None is left to the next rule."""

    pull: float | None = None
    """Seconds until a container's image is there, before its first start."""
    start: float | None = None
    """Seconds from there until the container runs, at every start."""
    ready: float | None = None
    """Seconds from there until it is ready."""
    run: float | None = None
    """Seconds that a container runs before it ends by itself; it runs on if absent. Init containers end after `init`."""
    init: float | None = None
    """Seconds that an init container runs."""
    exit_code: int | None = None
    """Exit code of containers that end by themselves."""
    oom: bool | None = None
    """True if they end as OOMKilled, with exit code 137."""
    failures: int | None = None
    """Number of starts that end with the exit code; later ones succeed: they run on, or end with 0 where `run` is set. All if absent."""
    stop: float | None = None
    """Seconds that a container takes to end after the stop signal; SIGKILL ends it when the grace period is over."""


DEFAULTS = Behavior(pull=0.0, start=0.0, ready=0.0, init=0.0, exit_code=0, oom=False, stop=0.0)
OF_JOBS = Behavior(run=1.0)
"""Default of pods that a Job owns: they end, or the Job would never."""
_DURATIONS = frozenset({"pull", "start", "ready", "run", "init", "stop"})


def seconds(value: object, where: str) -> float:
    """Return a duration in seconds. Raises BehaviorError naming `where`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str):
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        with contextlib.suppress(ValueError):
            if (length := durations.seconds(value)) >= 0:
                return length
    raise BehaviorError(f"{where}: {value!r} is not a duration: write seconds, or text such as 30s, 1m30s or 250ms")


def read_behavior(fields: Mapping[str, Any], where: str) -> Behavior:
    """Return a behavior from its fields as a file or annotations have them. Raises BehaviorError with all problems."""
    values: dict[str, Any] = {}
    problems = []
    for name, value in fields.items():
        try:
            values[name] = seconds(value, f"{where}{name}") if name in _DURATIONS else _plain(name, value, f"{where}{name}")
        except BehaviorError as error:
            problems.append(str(error))
    if problems:
        raise BehaviorError("; ".join(problems))
    return msgspec.convert(values, Behavior)


def _plain(name: str, value: Any, where: str) -> Any:
    if name == "oom":
        if value in (True, False, "true", "false"):
            return value in (True, "true")
        raise BehaviorError(f"{where}: {value!r} is neither true nor false")
    highest = {"exit-code": 255, "failures": 1 << 31}.get(name)
    if highest is None:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(Behavior))
        raise BehaviorError(f"{where}: unknown; known are {known}")
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) > highest:
        raise BehaviorError(f"{where}: {value!r} is not a whole number from 0 to {highest}")
    return int(text)


def merged(behaviors: Sequence[Behavior]) -> Behavior:
    """Put behaviors together: of each field the first that is set."""
    names = [field.name for field in msgspec.structs.fields(Behavior)]
    chosen = {}
    for name in names:
        chosen[name] = next((value for one in behaviors if (value := getattr(one, name)) is not None), None)
    return Behavior(**chosen)


def of_annotations(pod: core.Pod) -> Behavior:
    """Return the behavior that a pod's annotations ask for. Raises BehaviorError."""
    fields = {key.removeprefix(PREFIX): value for key, value in pod.metadata.annotations.items() if key.startswith(PREFIX)}
    return read_behavior(fields, f"metadata.annotations: {PREFIX}") if fields else Behavior()
