"""Counts, sizes and durations of requests, as `apiserver_request_*` of upstream has them ("Kubernetes Metrics Reference").

A request looks its series up once and adds to plain lists; a scrape computes names, labels and sums. Only kinds that are
served, their subresources and the fixed verbs make series, and no more than `MAX_SERIES`: clients cannot make any up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.chain.routes import RequestInfo
from tiphys.obs import metrics
from tiphys.obs.metrics import Family, Labels, Registry
from tiphys.wire.http import Request, Response, Upgrade

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
SLI_BUCKETS = BUCKETS[2:]
FIRST_BUCKET = BUCKETS[0]
SIZES = metrics.exponential(1000, 10, 7)
MAX_SERIES = 20_000
"""Custom kinds come and go, and their counters stay until the next start: beyond this number they are counted as one."""

CONNECTS = frozenset(("attach", "exec", "log", "portforward", "proxy"))
_METHODS = {
    "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETECOLLECTION", "get": "GET",
    "list": "LIST", "watch": "WATCH",
}  # fmt: skip
_WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))
_PAGES = frozenset(("/healthz", "/livez", "/readyz", "/openapi/v2", "/openapi/v3"))
"""Paths outside resources that are counted by their name."""
_Key = tuple[str, str, str, bool, bool, str]
_SCOPED = ("verb", "group", "version", "resource", "subresource", "scope", "component")


class _Series:
    """The requests of one verb, resource, scope and dry run."""

    __slots__ = ("codes", "dry_run", "labels", "moved", "seconds", "sizes", "sizes_sum", "sum", "waited")

    def __init__(self, labels: Labels, dry_run: str) -> None:
        self.labels = labels
        self.dry_run = dry_run
        self.codes: dict[int, int] = {}
        self.seconds = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0
        self.moved = [0] * (len(BUCKETS) + 1)
        """Difference in each bucket without the time that requests waited for their turn."""
        self.waited = 0.0
        self.sizes: list[int] | None = [0] * (len(SIZES) + 1) if labels[0] in ("GET", "LIST") else None
        self.sizes_sum = 0

    def observe(self, status: int, seconds: float, waited: float, size: int) -> None:
        codes = self.codes
        codes[status] = codes.get(status, 0) + 1
        at = bisect_left(BUCKETS, seconds) if seconds > FIRST_BUCKET else 0
        self.seconds[at] += 1
        self.sum += seconds
        if waited:
            self.waited += waited
            self.moved[at] -= 1
            self.moved[bisect_left(BUCKETS, seconds - waited)] += 1
        if self.sizes is not None:
            self.sizes[bisect_left(SIZES, size)] += 1
            self.sizes_sum += size

    def without_waiting(self) -> list[int]:
        """Return the counts of `SLI_BUCKETS`."""
        counts = [count + moved for count, moved in zip(self.seconds, self.moved, strict=True)]
        first = len(BUCKETS) - len(SLI_BUCKETS) + 1
        return [sum(counts[:first]), *counts[first:]]


class Long:
    """A request that goes on for as long as its client likes; it counts as one answered when it ends."""

    def __init__(self, gauge: metrics.Gauge, end: Callable[[], None]) -> None:
        self._gauge: metrics.Gauge | None = gauge
        self._end = end
        gauge.inc()

    def follow(self, response: Response) -> None:
        """End with the response's stream or upgrade, or at once when it has neither."""
        if response.stream is not None:
            response.stream = _Stream(response.stream, self.done)
        elif response.upgrade is not None:
            response.upgrade = self._upgraded(response.upgrade)
        else:
            self.done()

    def done(self) -> None:
        """It has ended; idempotent."""
        gauge, self._gauge = self._gauge, None
        if gauge is not None:
            gauge.dec()
            self._end()

    def _upgraded(self, upgrade: Upgrade) -> Upgrade:
        async def run(connection: Any) -> None:
            try:
                await upgrade(connection)
            finally:
                self.done()

        return run


class _Stream:
    """A stream that reports its end; iterated without a step in between."""

    def __init__(self, stream: AsyncIterator[bytes], done: Callable[[], None]) -> None:
        self._stream = stream
        self._done = done

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def __anext__(self) -> bytes:
        return await self._stream.__anext__()

    async def aclose(self) -> None:
        self._done()
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


class RequestMetrics:
    """The `apiserver_request_*` families of one server, and the registry of its others."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry if registry is not None else Registry()
        self._series: dict[_Key, _Series] = {}
        self._long: Family[metrics.Gauge] = self.registry.gauge(
            "apiserver_longrunning_requests", "Requests that are open for as long as their clients like: watches, logs, exec and the like.",
            *_SCOPED, stability="STABLE",
        )  # fmt: skip
        self._deprecated: Family[metrics.Gauge] = self.registry.gauge(
            "apiserver_requested_deprecated_apis", "Deprecated APIs that were requested.",
            "group", "version", "resource", "subresource", "removed_release", stability="STABLE",
        )  # fmt: skip
        self._terminated: Family[metrics.Counter] = self.registry.counter(
            "apiserver_request_terminations_total", "Requests that the server ended to protect itself.", *_SCOPED, "code"
        )

    def observe(
        self, request: Request, info: RequestInfo, kind: Kind[Any] | None, response: Response, seconds: float, waited: float = 0.0
    ) -> None:
        """Count an answered request that took `seconds`, `waited` of them for its turn."""
        if kind is not None and info.verb == "get":  # The commonest requests, and the shortest.
            key = (kind.ident, "get", info.subresource, bool(info.name), bool(info.namespace), "")
            series = self._series.get(key) or self._make(key, info, kind)
        else:
            counters = self._find(request, info, kind)
            if counters is None:
                return
            series = counters
        series.observe(response.status, seconds, waited, len(response.body))
        if response.status == 429 and waited:
            self._terminated.labels(*series.labels, "429").inc()

    def begin_long(self, request: Request, info: RequestInfo, kind: Kind[Any], now: Callable[[], float]) -> tuple[Long, list[int]]:
        """Count a long-running request until it ends. The list takes the answer's status, which is 0 until then."""
        series = self._find(request, info, kind)
        assert series is not None
        status, started = [0], now()
        return Long(self._long.labels(*series.labels), lambda: series.observe(status[0], now() - started, 0.0, 0)), status

    def _find(self, request: Request, info: RequestInfo, kind: Kind[Any] | None) -> _Series | None:
        verb = info.verb
        if kind is None:
            key: _Key = ("", verb, info.path if info.path in _PAGES else "", False, False, "")
            if info.is_resource or verb not in ("get", "head") or not key[2]:
                return None
        else:
            variant = ""
            if verb in _WRITES:
                if request.query and (dry := request.param("dryRun")):
                    variant = "All" if dry == "All" else "invalid"
                if verb == "patch" and request.headers.get("content-type", "").startswith("application/apply-patch"):
                    verb = "apply"
            key = (kind.ident, verb, info.subresource, bool(info.name), bool(info.namespace), variant)
        series = self._series.get(key)
        return series if series is not None else self._make(key, info, kind)

    def _make(self, key: _Key, info: RequestInfo, kind: Kind[Any] | None) -> _Series:
        _, verb, sub, named, spaced, dry_run = key
        if kind is None:
            labels: Labels = ("GET", "", "", "", sub, "", "apiserver")
        else:
            if sub and not any(one.name == sub for one in kind.subresources):
                key, sub = (*key[:2], "", *key[3:]), ""
            method = "CONNECT" if sub in CONNECTS else "APPLY" if verb == "apply" else _METHODS.get(verb, "other")
            if method == "other":
                key = (key[0], "", *key[2:])
            scope = "resource" if named or verb == "create" else "namespace" if spaced else "cluster"
            labels = (method, kind.group, kind.version, kind.plural, sub, scope, "apiserver")
            if len(self._series) >= MAX_SERIES:
                key, labels = ("", "", "", False, False, ""), ("other", "", "", "", "", "", "apiserver")
            if kind.deprecated:
                self._deprecated.labels(kind.group, kind.version, kind.plural, sub, "").set(1)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(labels, dry_run)
        return series

    def lines(self) -> Iterator[str]:
        """The text of all families."""
        merged = [one for one in self._series.values() if one.codes]  # Without those whose first watch still goes on.
        name = "apiserver_request_total"
        yield metrics.head(name, "counter", "Requests by verb, dry run, resource, scope, component and HTTP code.", "STABLE")
        for one in merged:
            text = _text(one, dry_run=True)
            yield from (metrics.sample(name, f'{text},code="{code}"', count) for code, count in tuple(one.codes.items()))
        name = "apiserver_request_duration_seconds"
        yield metrics.head(name, "histogram", "Time to answer, in seconds.", "STABLE")
        for one in merged:
            yield from metrics.histogram_lines(name, _text(one, dry_run=True), BUCKETS, one.seconds, one.sum)
        name = "apiserver_request_sli_duration_seconds"
        yield metrics.head(name, "histogram", "Time to answer, in seconds, without the time in queues of priority and fairness.", "ALPHA")
        for one in merged:
            if not one.dry_run:
                yield from metrics.histogram_lines(name, _text(one), SLI_BUCKETS, one.without_waiting(), one.sum - one.waited)
        name = "apiserver_response_sizes"
        yield metrics.head(name, "histogram", "Size of answers to reads, in bytes.", "STABLE")
        for one in merged:
            if one.sizes is not None:
                yield from metrics.histogram_lines(name, _text(one), SIZES, one.sizes, one.sizes_sum)
        yield from self.registry.lines()


def _text(series: _Series, *, dry_run: bool = False) -> str:
    names: Iterable[str] = _SCOPED
    text = metrics.pairs(tuple(names), series.labels)
    return f'{text},dry_run="{series.dry_run}"' if dry_run else text
