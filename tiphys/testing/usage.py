"""Use of resources by pods that only look as if they ran: a load that follows the time of day, in place of the resource metrics API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_ready
from tiphys.api.machinery import base
from tiphys.api.machinery.base import Duration, Quantity
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.machinery.quantity import milli
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.metrics.v1beta1 import ContainerMetrics, PodMetrics
from tiphys.apiserver.answers import render
from tiphys.client.client import Client
from tiphys.testing.calls import Call, call_of
from tiphys.wire.http import Request, Response, Transport

MINUTES = 24 * 60
"""Minutes of a day."""
WINDOW = Duration("15s")
"""Window of the measurements, as of metrics-server."""


class Curve:
    """Load over a day: quantities at times of the day (`HH:MM`, UTC), straight lines between them. Raises ValueError without any."""

    def __init__(self, points: Mapping[str, object]) -> None:
        known = sorted((_minutes(time), milli(str(quantity))) for time, quantity in points.items())
        if not known:
            raise ValueError("a load needs a quantity at a time of the day")
        (first, start), (last, end) = known[0], known[-1]
        self._points = [(last - MINUTES, end), *known, (first + MINUTES, start)]

    def at(self, now: datetime) -> int:
        """Return the load at a moment, in thousandths."""
        minute = now.hour * 60 + now.minute + now.second / 60
        parts = pairwise(self._points)
        (left, low), (right, high) = next(part for part in parts if part[0][0] <= minute <= part[1][0])
        return low + round((high - low) * (minute - left) / max(1, right - left))


def _minutes(time: str) -> int:
    moment = datetime.strptime(time, "%H:%M")
    return moment.hour * 60 + moment.minute


class UsageTransport:
    """Transport whose pods share a load: those that a request for their metrics selects, and that are ready, get equal parts."""

    def __init__(self, transport: Transport, client: Client) -> None:
        self._transport = transport
        self._client = client
        self.curves: Mapping[str, Curve] = {}
        """Load by resource. The API is unavailable while there is none."""

    async def request(self, request: Request) -> Response:
        """Answer a request for the metrics of pods, and send others on."""
        call = call_of(request)
        if (call.verb, call.group, call.resource) != ("list", "metrics.k8s.io", "pods"):
            return await self._transport.request(request)
        if not self.curves:
            return render.failure(ServiceUnavailable("the server is currently unable to handle the request"), request)
        body = msgspec.json.encode({"items": await self._measured(call)})
        return Response(200, {"Content-Type": "application/json"}, body)

    async def close(self) -> None:
        """Close the transport behind it."""
        await self._transport.close()

    async def _measured(self, call: Call) -> list[PodMetrics]:
        now = self._client.clock.now()
        selected = await self._client.list(core.Pod, call.namespace, labels=call.request.param("labelSelector"))
        pods = [pod for pod in selected.items if is_ready(pod)]
        usage = {resource: Quantity(f"{curve.at(now) // max(1, len(pods))}m") for resource, curve in self.curves.items()}
        return [
            PodMetrics(
                metadata=ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace),
                timestamp=base.time(now),
                window=WINDOW,
                containers=[ContainerMetrics(name=pod.spec.containers[0].name, usage=usage)],
            )
            for pod in pods
        ]
