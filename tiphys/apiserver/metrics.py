"""Counts and durations of requests, in the names that dashboards for Kubernetes know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from tiphys.api.scheme import Kind
from tiphys.apiserver.routes import RequestInfo

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
_UNTIMED = frozenset(("watch", "connect"))

_Series = tuple[str, str, str, str, str]


Gauge = tuple[str, str, dict[str, int]]
"""Name, help, and the value for each resource."""


class RequestMetrics:
    """`apiserver_request_total` and `apiserver_request_duration_seconds`, cheap enough for every request."""

    def __init__(self, gauges: Callable[[], Iterable[Gauge]] = tuple) -> None:
        self._gauges = gauges
        self._totals: dict[tuple[_Series, int], int] = {}
        self._durations: dict[_Series, list[float]] = {}

    def observe(self, info: RequestInfo, kind: Kind[Any] | None, status: int, seconds: float) -> None:
        """Count one answered request. What names no kind counts by its verb alone, so that nobody can make up series."""
        if kind is None:
            series = (info.verb, "", "", "", "")
        elif not info.subresource or any(sub.name == info.subresource for sub in kind.subresources):
            series = (info.verb, info.group, info.version, info.resource, info.subresource)
        else:
            series = (info.verb, info.group, info.version, info.resource, "")
        key = (series, status)
        self._totals[key] = self._totals.get(key, 0) + 1
        if status == 101 or info.verb in _UNTIMED:
            return
        slot = self._durations.get(series)
        if slot is None:
            slot = self._durations[series] = [0.0] * (len(BUCKETS) + 2)
        slot[bisect_left(BUCKETS, seconds)] += 1
        slot[-1] += seconds

    def render(self) -> str:
        """The Prometheus text format."""
        lines = [
            "# HELP apiserver_request_total Requests by verb, resource and HTTP code.",
            "# TYPE apiserver_request_total counter",
        ]
        for (series, status), count in sorted(self._totals.items()):
            lines.append(f'apiserver_request_total{{{_labels(series)},code="{status}"}} {count}')
        lines += [
            "# HELP apiserver_request_duration_seconds Time to answer, in seconds, by verb and resource.",
            "# TYPE apiserver_request_duration_seconds histogram",
        ]
        for series, slot in sorted(self._durations.items()):
            labels, total = _labels(series), 0.0
            for bound, held in zip((*BUCKETS, "+Inf"), slot[:-1], strict=True):
                total += held
                lines.append(f'apiserver_request_duration_seconds_bucket{{{labels},le="{bound}"}} {total:g}')
            lines.append(f"apiserver_request_duration_seconds_sum{{{labels}}} {slot[-1]:.6f}")
            lines.append(f"apiserver_request_duration_seconds_count{{{labels}}} {total:g}")
        for name, about, values in self._gauges():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            lines += [f'{name}{{resource="{resource}"}} {value}' for resource, value in sorted(values.items())]
        return "\n".join(lines) + "\n"


def _labels(series: _Series) -> str:
    names = ("verb", "group", "version", "resource", "subresource")
    values = (series[0].upper(), *series[1:])
    return ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
