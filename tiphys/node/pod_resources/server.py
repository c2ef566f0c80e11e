"""Server of the PodResources API, version 1, at `pod-resources/kubelet.sock` ("Monitoring device plugin resources").

Monitoring agents ask it which pod uses which device.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.plugins.server import Method, serve
from tiphys.node.pod_resources import metrics
from tiphys.node.pod_resources.limit import RateLimit
from tiphys.node.pod_resources.pb import podresources_pb2 as pb
from tiphys.node.pod_resources.source import Source

log = logging.getLogger(__name__)

VERSION = "v1"
RATE, BURST = 100.0, 10
"""Requests a second, and at once: upstream's limit."""
RETRY = 5.0
"""Seconds until the next attempt to open the socket."""
_OVER = ("Succeeded", "Failed")


class PodResourcesServer:
    """`pods` returns the pods that the node works on; `sources` may be added to."""

    def __init__(self, directory: Path, pods: Callable[[], Sequence[core.Pod]], sources: Sequence[Source], clock: Clock) -> None:
        self.directory = directory
        self.sources = list(sources)
        self._pods = pods
        self._clock = clock
        self._limit = RateLimit(RATE, BURST, now=clock.monotonic())

    async def run(self) -> None:
        """Serve until cancelled."""
        methods = {
            "List": self._method("List", self.list, pb.ListPodResourcesRequest),
            "Get": self._method("Get", self.get, pb.GetPodResourcesRequest),
            "GetAllocatableResources": self._method("GetAllocatableResources", self.allocatable, pb.AllocatableResourcesRequest),
        }
        while True:
            try:
                await asyncio.to_thread(self.directory.mkdir, parents=True, exist_ok=True, mode=0o750)
                await serve(self.directory / "kubelet.sock", "v1.PodResourcesLister", methods)
            except OSError as error:
                log.error("PodResources API not served", extra={"directory": str(self.directory), "error": str(error)})
                await self._clock.sleep(RETRY)

    def _method(self, verb: str, method: Callable[[Any], Message], request: type[Message]) -> Method:
        import grpc

        async def answer(message: Message, context: Any) -> Message:
            if not self._limit.take(self._clock.monotonic()):
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")
            metrics.REQUESTS.labels(VERSION).inc()
            metrics.BY_VERB[verb].labels(VERSION).inc()
            try:
                return method(message)
            except LookupError as error:
                metrics.ERRORS[verb].labels(VERSION).inc()
                failure: Awaitable[Message] = context.abort(grpc.StatusCode.UNKNOWN, str(error.args[0]))
                return await failure

        return answer, request

    def list(self, request: pb.ListPodResourcesRequest) -> pb.ListPodResourcesResponse:
        """Return what the containers of all pods own that have not ended."""
        active = [pod for pod in self._pods() if pod.status.phase not in _OVER]
        return pb.ListPodResourcesResponse(pod_resources=[self._pod(pod) for pod in active])

    def get(self, request: pb.GetPodResourcesRequest) -> pb.GetPodResourcesResponse:
        """Return what the containers of one pod own. Raises LookupError."""
        for pod in self._pods():
            if (pod.metadata.namespace, pod.metadata.name) == (request.pod_namespace, request.pod_name):
                return pb.GetPodResourcesResponse(pod_resources=self._pod(pod))
        raise LookupError(f"pod {request.pod_name} in namespace {request.pod_namespace} not found")

    def allocatable(self, request: pb.AllocatableResourcesRequest) -> pb.AllocatableResourcesResponse:
        """Return what containers of this node may own."""
        response = pb.AllocatableResourcesResponse()
        for source in self.sources:
            response.MergeFrom(source.allocatable())
        return response

    def _pod(self, pod: core.Pod) -> pb.PodResources:
        """Return the containers that may run side by side: not init containers that end, whose devices others have by then."""
        names = [container.name for container in pod.spec.initContainers if is_sidecar(container)]
        names += [container.name for container in pod.spec.containers]
        containers = [self._container(pod.metadata.uid, name) for name in names]
        return pb.PodResources(name=pod.metadata.name, namespace=pod.metadata.namespace, containers=containers)

    def _container(self, uid: str, name: str) -> pb.ContainerResources:
        response = pb.ContainerResources(name=name)
        for source in self.sources:
            response.MergeFrom(source.container(uid, name))
        return response
