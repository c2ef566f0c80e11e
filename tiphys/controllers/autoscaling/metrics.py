"""Values that the metrics APIs tell: `metrics.k8s.io`, `custom.metrics.k8s.io` and `external.metrics.k8s.io`.

The latter two are served by adapters that users install; their group version is looked up when it is needed. Values are in thousandths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from tiphys.api.autoscaling import v2
from tiphys.api.machinery import durations
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.api.machinery.quantity import milli
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.meta.v1 import APIGroup, LabelSelector
from tiphys.api.metrics.v1beta1 import PodMetrics
from tiphys.client.client import Client, read_body
from tiphys.controllers.autoscaling.pods import Sample
from tiphys.controllers.autoscaling.replicas import NoMetrics
from tiphys.controllers.autoscaling.slim import MetricValue, MetricValues

RESOURCE, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
_API = {RESOURCE: "resource metrics API", CUSTOM: "custom metrics API", EXTERNAL: "external metrics API"}
WINDOW = 60.0
"""Seconds of a window that an adapter does not name."""
_LARGEST = (1 << 63) - 1

S = TypeVar("S", bound=msgspec.Struct)


class MetricsReader:
    """Reader of one cluster's metrics. Every method raises NoMetrics where there are none, or where they make no sense."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of_resource(self, resource: str, namespace: str, selector: str, container: str = "") -> dict[str, Sample]:
        """Return how much of a resource each pod uses, or one container of it."""
        with _read_from(RESOURCE):
            pods = (await self._client.list(PodMetrics, namespace, labels=selector)).items
            samples = {pod.metadata.name: _sample(pod, resource, container) for pod in pods}
        if not pods:
            raise NoMetrics("no metrics returned from resource metrics API")
        return {name: sample for name, sample in samples.items() if sample is not None}

    async def of_pods(self, metric: v2.MetricIdentifier, namespace: str, selector: str) -> dict[str, Sample]:
        """Return the value of a custom metric of each pod."""
        query = [("labelSelector", selector), *_metric_query(metric.selector)]
        with _read_from(CUSTOM):
            values = await self._values(CUSTOM, f"namespaces/{namespace}/pods/*/{metric.name}", query)
            return {
                one.describedObject.name: Sample(
                    _total([one.value]), one.timestamp, WINDOW if one.windowSeconds is None else one.windowSeconds
                )
                for one in values
            }

    async def of_object(self, metric: v2.MetricIdentifier, namespace: str, resource: str, name: str) -> int:
        """Return the value of a custom metric of an object; `resource` is such as `ingresses.networking.k8s.io`."""
        where = f"namespaces/{name}" if resource == "namespaces" else f"namespaces/{namespace}/{resource}/{name}"
        path = f"{where}/metrics/{metric.name}" if resource == "namespaces" else f"{where}/{metric.name}"
        with _read_from(CUSTOM):
            values = await self._values(CUSTOM, path, _metric_query(metric.selector))
            return _total([values[0].value])

    async def of_external(self, metric: v2.MetricIdentifier, namespace: str) -> int:
        """Return the sum of the values of an external metric."""
        query = [("labelSelector", _selector_text(metric.selector))] if metric.selector is not None else []
        with _read_from(EXTERNAL):
            values = await self._values(EXTERNAL, f"namespaces/{namespace}/{metric.name}", query)
            return _total(one.value for one in values)

    async def _values(self, group: str, path: str, query: Sequence[tuple[str, str]]) -> list[MetricValue]:
        version = await self._version(group)
        answer = await self._read(f"/apis/{version}/{path}", query, MetricValues)
        if not answer.items:
            raise NoMetrics(f"no metrics returned from {_API[group]}")
        return answer.items

    async def _version(self, group: str) -> str:
        """Return the group version that an adapter prefers. Raises NotFound without one."""
        try:
            answer = await self._read(f"/apis/{group}", (), APIGroup)
        except NotFound:
            raise NoMetrics(f"no API server serves {group}") from None
        return answer.preferredVersion.groupVersion

    async def _read(self, path: str, query: Sequence[tuple[str, str]], type_: type[S]) -> S:
        response = await self._client.raw("GET", path, query=query)
        return msgspec.json.decode(await read_body(response), type=type_)


@contextmanager
def _read_from(group: str) -> Iterator[None]:
    """Turn what goes wrong on the way from a metrics API into NoMetrics: errors, and answers that make no sense."""
    try:
        yield
    except (StatusError, ConnectionError, ValueError) as error:
        raise NoMetrics(f"unable to fetch metrics from {_API[group]}: {error}") from error


def _total(amounts: Iterable[Quantity]) -> int:
    """Return the sum in thousandths, within the 64 bits that the API has for it. Raises ValueError."""
    return max(-_LARGEST, min(sum(milli(amount) for amount in amounts), _LARGEST))


def _sample(pod: PodMetrics, resource: str, container: str) -> Sample | None:
    """Return the sample of a pod; None when a container that counts was not measured. Raises ValueError."""
    chosen = [one for one in pod.containers if not container or one.name == container]
    if not chosen or any(resource not in one.usage for one in chosen):
        return None
    return Sample(_total(one.usage[resource] for one in chosen), pod.timestamp, durations.seconds(pod.window))


def _metric_query(selector: LabelSelector | None) -> list[tuple[str, str]]:
    return [] if selector is None else [("metricLabelSelector", _selector_text(selector))]


def _selector_text(selector: LabelSelector | None) -> str:
    """Return a selector as query parameters take it. Raises NoMetrics for an invalid one."""
    try:
        return str(from_label_selector(selector))
    except SelectorError as error:
        raise NoMetrics(str(error)) from error
