"""Metrics: counters, gauges and histograms with labels, and their text for Prometheus.

RECONCILES = counter("controller_reconcile_total", "Reconciles by outcome.", "controller", "outcome")
RECONCILES.labels("deployment", "done").inc()

The process has one event loop and counts on it, so a child is a plain number: an increment is one attribute, an observation one bisection.
Children are remembered by their label values; code on a hot path keeps the child. All text is rendered by a scrape.

Label values must come from a bounded set: names of kinds, verbs, results, never what a client chose.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, Literal, TypeVar

Stability = Literal["ALPHA", "BETA", "STABLE", ""]
"""Stability level of a family upstream ("Kubernetes Metrics Reference"); "" for families that upstream does not have."""
Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Default buckets of upstream's histograms of seconds."""


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add to the number."""
        self.value += amount


class Gauge(Counter):
    """A number that goes up and down."""

    __slots__ = ()

    def dec(self) -> None:
        """Subtract one."""
        self.value -= 1.0

    def set(self, value: float) -> None:
        """Replace the number."""
        self.value = value


class Histogram:
    """Counts of observations by bucket (the last has no bound), and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        bounds = self.bounds
        self.counts[bisect_left(bounds, value) if value > bounds[0] else 0] += 1
        self.sum += value


ChildT = TypeVar("ChildT", Counter, Gauge, Histogram)


class Family(Generic[ChildT]):
    """All children of one name."""

    def __init__(self, name: str, type_: str, doc: str, labels: Labels, stability: Stability, make: Callable[[], ChildT]) -> None:
        self.name = name
        self.type = type_
        self.label_names = labels
        self.stability = stability
        self._head = head(name, type_, doc, stability)
        self._make: Callable[[], ChildT] = make
        self._children: dict[Labels, ChildT] = {}

    def labels(self, *values: str) -> ChildT:
        """Return the child for these label values, in the order of the declaration."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self.label_names):
                raise ValueError(f"{self.name} has the labels {self.label_names}, not {len(values)}")
            child = self._children[values] = self._make()
        return child

    def forget(self, *values: str) -> None:
        """Drop a child, for label values that will not come back."""
        self._children.pop(values, None)

    def lines(self) -> Iterator[str]:
        """Yield the text, nothing for a family without children."""
        if not self._children:
            return
        yield self._head
        for values, child in tuple(self._children.items()):
            text = pairs(self.label_names, values)
            if isinstance(child, Histogram):
                yield from histogram_lines(self.name, text, child.bounds, child.counts, child.sum)
            else:
                yield sample(self.name, text, child.value)


class Collected:
    """Family whose samples are read from their source at scrape time."""

    def __init__(self, name: str, type_: str, doc: str, labels: Labels, stability: Stability, read: Callable[[], Samples]) -> None:
        self.name = name
        self.type = type_
        self.label_names = labels
        self.stability = stability
        self._head = head(name, type_, doc, stability)
        self._read = read

    def lines(self) -> Iterator[str]:
        """Yield the text, nothing for a family without samples."""
        samples = list(self._read())
        if samples:
            yield self._head
            for values, value in samples:
                yield sample(self.name, pairs(self.label_names, values), value)


class Registry:
    """Families in the order of their declaration."""

    def __init__(self) -> None:
        self._computed: list[Callable[[], Iterator[str]]] = []
        self.families: dict[str, Family[Counter] | Family[Gauge] | Family[Histogram] | Collected] = {}

    def counter(self, name: str, doc: str, *labels: str, stability: Stability = "ALPHA") -> Family[Counter]:
        """Declare a counter; its name ends in `_total`."""
        family = Family(name, "counter", doc, labels, stability, Counter)
        self.families[name] = family
        return family

    def gauge(self, name: str, doc: str, *labels: str, stability: Stability = "ALPHA") -> Family[Gauge]:
        """Declare a gauge."""
        family = Family(name, "gauge", doc, labels, stability, Gauge)
        self.families[name] = family
        return family

    def histogram(
        self, name: str, doc: str, *labels: str, buckets: Sequence[float] = SECONDS, stability: Stability = "ALPHA"
    ) -> Family[Histogram]:
        """Declare a histogram, by default of seconds."""
        family = Family(name, "histogram", doc, labels, stability, lambda: Histogram(buckets))
        self.families[name] = family
        return family

    def collected(self, name: str, type_: str, doc: str, *labels: str, read: Callable[[], Samples], stability: Stability = "ALPHA") -> None:
        """Declare a family that is read at scrape time; if declared again, the newest reader is used."""
        self.families[name] = Collected(name, type_, doc, labels, stability, read)

    def computed(self, lines: Callable[[], Iterator[str]]) -> None:
        """Add families whose whole text is produced elsewhere at scrape time."""
        self._computed.append(lines)

    def lines(self) -> Iterator[str]:
        """Yield the text of all families."""
        for family in tuple(self.families.values()):
            yield from family.lines()
        for lines in self._computed:
            yield from lines()


REGISTRY = Registry()
"""Registry of the whole process, for parts that run once in it."""
counter = REGISTRY.counter
gauge = REGISTRY.gauge
histogram = REGISTRY.histogram
collected = REGISTRY.collected


def exponential(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Return bounds of buckets, each `factor` times the previous one."""
    return tuple(float(f"{start * factor**power:.12g}") for power in range(count))


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def page(*parts: Iterable[str]) -> bytes:
    """Return the text of several sources as one document, to be served as `CONTENT_TYPE`."""
    return ("\n".join(line for part in parts for line in part) + "\n").encode()


LINES_PER_TURN = 500
"""Maximum number of lines of a long page that are produced in one turn of the event loop: about a millisecond."""


async def page_in_turns(*parts: Iterable[str]) -> bytes:
    """`page` for thousands of lines: others have their turns in between, and may count, so parts must iterate over copies of what grows."""
    lines: list[str] = []
    for part in parts:
        for line in part:
            lines.append(line)
            if len(lines) % LINES_PER_TURN == 0:
                await asyncio.sleep(0)
    return page(lines)


def head(name: str, type_: str, doc: str, stability: Stability = "") -> str:
    """Return the two lines above a family's samples."""
    level = f"[{stability}] " if stability else ""
    return f"# HELP {name} {level}{doc}\n# TYPE {name} {type_}"


def sample(name: str, labels: str, value: float) -> str:
    """Return one line; `labels` is the text of `pairs`."""
    return f"{name}{{{labels}}} {number(value)}" if labels else f"{name} {number(value)}"


def histogram_lines(name: str, labels: str, bounds: Sequence[float], counts: Sequence[int], total: float) -> Iterator[str]:
    """Yield the lines of one histogram; `counts` are those of each bucket alone, the last without a bound."""
    before = f"{labels}," if labels else ""
    so_far = 0
    for bound, so_far in zip((*bounds, float("inf")), accumulate(counts), strict=True):
        yield f'{name}_bucket{{{before}le="{number(bound)}"}} {so_far}'
    yield sample(f"{name}_sum", labels, total)
    yield sample(f"{name}_count", labels, so_far)


def pairs(names: Labels, values: Labels) -> str:
    """`verb="GET",code="200"`."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in zip(names, values, strict=True))


def number(value: float) -> str:
    """Return a value as Prometheus reads it."""
    if value == float("inf"):
        return "+Inf"
    whole = int(value)
    return str(whole) if whole == value and abs(whole) < 10**15 else repr(float(value))


def escaped(value: str) -> str:
    """Return a label's value between its quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
