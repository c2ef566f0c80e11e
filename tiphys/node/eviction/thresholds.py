"""Thresholds of eviction: signals, amounts, and how configurations write them. Pure ("Node-pressure Eviction")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, get_args

import msgspec

from tiphys.api.machinery import durations, quantity

Signal = Literal[
    "memory.available",
    "allocatableMemory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
]
"""Something of which the node can have too little. In the order in which shortages are dealt with."""
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)

Resource = Literal["memory", "ephemeral-storage", "inodes", "pids"]
Condition = Literal["MemoryPressure", "DiskPressure", "PIDPressure"]

RESOURCES: Final[Mapping[Signal, Resource]] = {
    "memory.available": "memory",
    "allocatableMemory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "pid.available": "pids",
}
"""The resource that is short, under the name that messages give it."""
CONDITIONS: Final[Mapping[Resource, Condition]] = {
    "memory": "MemoryPressure",
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "pids": "PIDPressure",
}

DEFAULT_HARD: Final[Mapping[str, str]] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""Upstream's default of `evictionHard`."""
_DERIVED = ("containerfs.available", "containerfs.inodesFree")
_NO_THRESHOLD = ("0%", "100%")


class Amount(msgspec.Struct, frozen=True):
    """Amount of a resource: an absolute number, or a share of the capacity."""

    text: str
    """As the configuration has it: `100Mi`, `10%`."""

    def of(self, capacity: int) -> int:
        """Return the amount in whole units."""
        if self.text.endswith("%"):
            return int(capacity * (float(self.text.removesuffix("%")) / 100))
        return quantity.whole(self.text)

    def spelled(self, capacity: int) -> str:
        """Return the amount as messages show it."""
        return self.text if not self.text.endswith("%") else quantity.format_value(self.of(capacity), "binary")


class Threshold(msgspec.Struct, frozen=True):
    """Amount below which pods are evicted."""

    signal: Signal
    below: Amount
    grace: float = 0.0
    """Seconds for which the signal has to stay below; 0 for a hard threshold."""
    reclaim: Amount | None = None
    """Free at least so much beyond the threshold, once it was met."""

    @property
    def is_hard(self) -> bool:
        """True if pods are evicted at once, without their own grace period."""
        return not self.grace

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.signal]

    def goal(self, capacity: int) -> int:
        """Return the amount from which on the threshold, once met, counts as left."""
        return self.below.of(capacity) + (self.reclaim.of(capacity) if self.reclaim is not None else 0)


Fault = tuple[str, str]
"""Path of a value below its field, and the message."""


def amount_faults(written: Mapping[str, str], *, threshold: bool) -> Iterator[Fault]:
    """Yield the mistakes in `evictionHard`, `evictionSoft` (`threshold`) or `evictionMinimumReclaim`."""
    yield from _each(written, lambda text: _check_amount(text, threshold=threshold))


def grace_faults(written: Mapping[str, str]) -> Iterator[Fault]:
    """Yield the mistakes in `evictionSoftGracePeriod`."""
    yield from _each(written, _check_grace)


def _each(written: Mapping[str, str], check: Callable[[str], None]) -> Iterator[Fault]:
    for signal, text in written.items():
        place = f"[{signal}]"
        if signal in _DERIVED:
            yield place, "it is that of nodefs or imagefs, whichever holds the containers' writable layers: remove it"
        elif signal not in SIGNALS:
            yield place, f"there is no such eviction signal, only {', '.join(SIGNALS)}"
        else:
            try:
                check(text)
            except ValueError as error:
                yield place, str(error)


def _check_amount(text: str, *, threshold: bool) -> None:
    if text.endswith("%"):
        try:
            share = float(text.removesuffix("%"))
        except ValueError:
            raise ValueError(f"{text} is not a percentage such as 10%") from None
        if not 0 <= share <= 100 if threshold else share <= 0:
            raise ValueError(f"{text} must be {'from 0% to 100%' if threshold else 'more than 0%'}")
        return
    try:
        number = quantity.parse(text)
    except ValueError:
        raise ValueError(f"{text} is not a quantity such as 100Mi, nor a percentage such as 10%") from None
    if number < 0 or (threshold and not number):
        raise ValueError(f"{text} must {'be positive' if threshold else 'not be negative'}")


def _check_grace(text: str) -> None:
    if durations.nanoseconds(text) < 0:
        raise ValueError(f"{text} must not be negative")


def effective_hard(hard: Mapping[str, str] | None, *, merge: bool) -> dict[str, str]:
    """Return `evictionHard` with upstream's defaults: all of them where it is not set, or the missing ones (`merge`)."""
    return {**(DEFAULT_HARD if hard is None or merge else {}), **(hard or {})}


def thresholds_of(
    hard: Mapping[str, str], soft: Mapping[str, str], grace: Mapping[str, str], reclaim: Mapping[str, str], *, enforced: bool
) -> tuple[Threshold, ...]:
    """Return the thresholds of a configuration without mistakes, in the order of their signals, hard ones first.

    Thresholds of 0% and 100% are none. Where the pods' control group is limited to what they may use together (`enforced`), the hard
    threshold of the node's memory holds for that group, too.
    """
    hard = dict(hard)
    if enforced and "memory.available" in hard:
        hard.setdefault("allocatableMemory.available", hard["memory.available"])
    least = {signal: Amount(text) for signal, text in reclaim.items()}
    if "memory.available" in least:
        least.setdefault("allocatableMemory.available", least["memory.available"])
    thresholds = []
    for signal in SIGNALS:
        for written, seconds in ((hard, 0.0), (soft, durations.seconds(grace.get(signal, "0s")))):
            text = written.get(signal, "0%")
            if text not in _NO_THRESHOLD:
                thresholds.append(Threshold(signal, Amount(text), seconds, least.get(signal)))
    return tuple(thresholds)
