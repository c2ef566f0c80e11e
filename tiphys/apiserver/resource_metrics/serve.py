"""get and list of NodeMetrics and PodMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from tiphys.api.core import v1 as core
from tiphys.api.machinery import base, durations
from tiphys.api.machinery.base import Duration, Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.metrics.v1beta1 import ContainerMetrics, NodeMetrics, PodMetrics
from tiphys.apiserver.answers import render
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.chain.options import list_options
from tiphys.apiserver.resource_metrics.collector import Uses
from tiphys.apiserver.resource_metrics.usage import NODE, Usage
from tiphys.apiserver.verbs.read import parsed_matcher
from tiphys.wire.http import Response


async def get(ctx: Context) -> Response:
    """Use of one node or pod. Raises NotFound when it is not known yet."""
    uses = await ctx.services.resource_metrics.uses()
    for entry in _entries(ctx, uses):
        return render.single(ctx, entry)
    raise ctx.not_found()


async def list_(ctx: Context) -> Response:
    """Use of all nodes, or of the pods of one namespace or all."""
    options = list_options(ctx.request)
    matches = await parsed_matcher(ctx, options)
    uses = await ctx.services.resource_metrics.uses()
    entries = sorted(_entries(ctx, uses), key=lambda entry: (entry.namespace, entry.name))
    return await render.collection(ctx, [entry for entry in entries if matches is None or matches(entry)], ctx.storage.revision)


def _entries(ctx: Context, uses: Mapping[str, Uses]) -> Iterable[Entry]:
    return _pods(ctx, uses) if ctx.kind.namespaced else _nodes(ctx, uses)


def _nodes(ctx: Context, uses: Mapping[str, Uses]) -> Iterator[Entry]:
    """Yield the entries of the nodes that are requested and still there."""
    nodes = ctx.storage.cache(ctx.services.scheme.of(core.Node))
    for name, subjects in uses.items():
        if ctx.info.name not in ("", name):
            continue
        node, usage = nodes.get("", name), subjects.get(NODE)
        if node is None or usage is None:
            continue
        meta = ObjectMeta(name=name, labels=dict(node.labels), creationTimestamp=base.time(ctx.services.now()))
        yield _entry(ctx, NodeMetrics(metadata=meta, timestamp=_when(usage), window=_window(usage), usage=_amounts(usage)))


def _pods(ctx: Context, uses: Mapping[str, Uses]) -> Iterator[Entry]:
    """Yield the entries of the pods that are requested and still there."""
    pods = ctx.storage.cache(ctx.services.scheme.of(core.Pod))
    for (namespace, name), containers in _by_pod(uses).items():
        if ctx.info.namespace not in ("", namespace) or ctx.info.name not in ("", name):
            continue
        pod = pods.get(namespace, name)
        if pod is None:
            continue
        now = base.time(ctx.services.now())
        meta = ObjectMeta(name=name, namespace=namespace, labels=dict(pod.labels), creationTimestamp=now)
        widest = max(containers.values(), key=lambda usage: usage.window)
        listed = [ContainerMetrics(name=container, usage=_amounts(usage)) for container, usage in sorted(containers.items())]
        yield _entry(ctx, PodMetrics(metadata=meta, timestamp=_when(widest), window=_window(widest), containers=listed))


def _by_pod(uses: Mapping[str, Uses]) -> dict[tuple[str, str], dict[str, Usage]]:
    pods: dict[tuple[str, str], dict[str, Usage]] = {}
    for subjects in uses.values():
        for subject, usage in subjects.items():
            if subject.container:
                pods.setdefault((subject.namespace, subject.pod), {})[subject.container] = usage
    return pods


def _entry(ctx: Context, obj: NodeMetrics | PodMetrics) -> Entry:
    meta = obj.metadata
    return Entry(meta.namespace, meta.name, 0, ctx.storage.cache(ctx.kind).codec.encode(obj), meta.labels, {})


def _amounts(usage: Usage) -> dict[str, Quantity]:
    return {"cpu": Quantity(f"{round(usage.cores * 1e9)}n"), "memory": Quantity(f"{usage.memory >> 10}Ki")}


def _when(usage: Usage) -> datetime:
    return base.time(datetime.fromtimestamp(usage.at, UTC))


def _window(usage: Usage) -> Duration:
    return Duration(durations.written(round(usage.window * 1000) * 10**6))
