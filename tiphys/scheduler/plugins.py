"""Choice of a profile's plugins, by upstream's names and rules ("Scheduler Configuration")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tiphys.scheduler.settings import DEFAULTS
from tiphys.settings.file import ConfigurationError

ALWAYS = ("SchedulingGates", "PrioritySort", "NodeName", "DefaultPreemption", "DefaultBinder")
"""Plugins whose work is always done here."""
ABSENT = ("NodeDeclaredFeatures", "GangScheduling")
"""Plugins of upstream whose work is not done here."""
ALL = "*"
MAX_WEIGHT = 1000


class Choice(NamedTuple):
    """Plugins that one extension point disables, and those that it enables, with their weights."""

    point: str
    disabled: Sequence[str]
    enabled: Sequence[tuple[str, int | None]]


def filter_names() -> tuple[str, ...]:
    """Return the names of all filter plugins."""
    from tiphys.scheduler.causes import OBJECTIONS
    from tiphys.scheduler.filters.order import FILTERS

    return tuple(dict.fromkeys((*(rule.name for rule in FILTERS), *(one.rule for one in OBJECTIONS))))


def choose(choices: Iterable[Choice]) -> dict[str, Any]:
    """Return the layer of a profile after `multiPoint`, `filter` and `score` had their say, in this order. Raises ConfigurationError."""
    filters, weights = filter_names(), msgspec.structs.asdict(DEFAULTS.profile.weights)
    on, faults = set(filters), list[tuple[str, str]]()
    for choice in choices:
        reached = _reached(choice.point, filters, weights)
        faults += _faults(choice, reached)
        for name in reached if ALL in choice.disabled else choice.disabled:
            if choice.point != "score":
                on.discard(name)
            if choice.point != "filter" and name in weights:
                weights[name] = 0
        for name, weight in choice.enabled:
            if name in filters and choice.point != "score":
                on.add(name)
            if name in weights and choice.point != "filter":
                # As upstream: what is enabled by name without a weight weighs 1.
                weights[name] = weight or 1
    if faults:
        raise ConfigurationError(faults)
    default = msgspec.structs.asdict(DEFAULTS.profile.weights)
    changed = {name: weight for name, weight in weights.items() if weight != default[name]}
    disabled = [name for name in filters if name not in on]
    return ({"weights": changed} if changed else {}) | ({"disabled_filters": disabled} if disabled else {})


def _reached(point: str, filters: Sequence[str], weights: Iterable[str]) -> tuple[str, ...]:
    """Return the plugins that an extension point has."""
    if point == "filter":
        return tuple(filters)
    return tuple(weights) if point == "score" else tuple(dict.fromkeys((*filters, *weights)))


def _faults(choice: Choice, reached: Sequence[str]) -> Iterable[tuple[str, str]]:
    known = (*reached, ALL) if choice.point != "multiPoint" else (*reached, *ALWAYS, *ABSENT, ALL)
    names = [name for name, _ in choice.enabled]
    for number, name in enumerate(choice.disabled):
        path = f".{choice.point}.disabled[{number}].name"
        if name not in known and name not in ABSENT:
            yield path, f'there is no plugin "{name}" at this point; there are {", ".join(reached)}'
        elif name in ALWAYS and name not in names:
            yield path, f"Tiphys always does the work of {name}: remove it"
        elif name == ALL and choice.point == "multiPoint" and (missing := [one for one in ALWAYS if one not in names]):
            yield path, f"Tiphys always does the work of {', '.join(missing)}: name them in enabled"
    for number, (name, weight) in enumerate(choice.enabled):
        path = f".{choice.point}.enabled[{number}]"
        if name in ABSENT:
            yield f"{path}.name", f"Tiphys does not have the plugin {name} yet: remove it"
        elif name not in reached and not (choice.point == "multiPoint" and name in ALWAYS):
            yield f"{path}.name", f'there is no plugin "{name}" at this point; there are {", ".join(reached)}'
        if weight is not None and not 0 <= weight <= MAX_WEIGHT:
            yield f"{path}.weight", f"{weight} is not in the range: it must be at least 0 and at most {MAX_WEIGHT}"
