"""The endpoints controller: keeps the EndpointSlices and the Endpoints of every Service that has a selector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.helpers.pods import is_finished, is_ready
from tiphys.api.well_known import SERVICE_NAME, ZONE
from tiphys.controllers.endpoints import balance, legacy, slices
from tiphys.controllers.endpoints.backends import needs_endpoints
from tiphys.controllers.endpoints.writing import SliceWriter
from tiphys.controllers.shared.batches import first_errors
from tiphys.controllers.shared.namespaces import skip_ended
from tiphys.controllers.shared.pacing import Pacer
from tiphys.controllers.shared.slim import PODS, SlimPod
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact

BY_SERVICE = "endpoint slices by service"


def _by_service(slice_: discovery.EndpointSlice) -> Iterable[str]:
    if slice_.metadata.labels.get(slices.MANAGED_BY) != slices.MANAGER:
        return ()
    return (f"{slice_.metadata.namespace}/{slice_.metadata.labels.get(SERVICE_NAME, '')}",)


def _service_key(slice_: discovery.EndpointSlice) -> Iterable[Key]:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    return (Key(slice_.metadata.namespace, name),) if name and _by_service(slice_) else ()


class EndpointsController:
    """Keeps endpoints up to date. Keys are Services. Changes of readiness are written at once; only very large Services are paced."""

    declaration = Declaration(
        name="endpoints",
        kind=core.Service,
        roles=("endpoint-controller", "endpointslice-controller"),
        reads=(Whole(core.Service), PODS, Whole(core.Node), Whole(core.Endpoints), Whole(discovery.EndpointSlice)),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._pacer = Pacer(ctx.clock)
        self._balance: dict[Key, Mapping[str, str]] = {}
        """Last result for each Service that has its zones balanced, so that only a new one becomes an event."""
        self._services = ctx.read(core.Service)
        self._pods = ctx.read(SlimPod)
        self._nodes = ctx.read(core.Node)
        self._endpoints = ctx.read(core.Endpoints)
        self._slices = ctx.read(discovery.EndpointSlice)
        self._slices.add_index(BY_SERVICE, _by_service)
        self._writer = SliceWriter(ctx.client, self._slices, slices.MANAGER)
        ctx.watch(self._services)
        ctx.watch(self._endpoints)
        ctx.watch(self._slices, _service_key)
        ctx.watch(self._pods, self._selecting, when=_matters)
        ctx.watch(self._nodes, self._on_node, when=lambda old, new: _zone(old) != _zone(new))
        ctx.watch(self._nodes, self._balanced, when=lambda old, new: balance.capacity(old) != balance.capacity(new))

    def _selecting(self, pod: SlimPod) -> Iterable[Key]:
        labels = pod.metadata.labels.items()
        for service in self._services.list(pod.metadata.namespace):
            if needs_endpoints(service) and service.spec.selector.items() <= labels:
                yield Key.of(service)

    def _on_node(self, node: core.Node) -> Iterable[Key]:
        for slice_ in self._slices.list():
            if any(endpoint.nodeName == node.metadata.name for endpoint in slice_.endpoints or []):
                yield from _service_key(slice_)

    def _balanced(self, node: core.Node) -> Iterable[Key]:
        return [Key.of(service) for service in self._services.list() if balance.is_auto(service)]

    async def reconcile(self, key: Key) -> Result:
        service = self._services.get(key)
        if service is None or service.metadata.deletionTimestamp is not None:
            await self._forget(key)
            self._pacer.forget(key)
            self._writer.forget(key)
            return DONE
        if not needs_endpoints(service):
            return DONE
        if pause := self._pacer.pause(key):
            return pause
        known = await self._writer.settle(service, self._slices.by_index(BY_SERVICE, f"{key.namespace}/{key.name}"))
        with self._pacer.measure(key):
            selector = service.spec.selector.items()
            pods = [pod for pod in self._pods.list(key.namespace) if selector <= pod.metadata.labels.items()]
            cpu = balance.cpu_by_zone(self._nodes.list()) if balance.is_auto(service) else {}
            step = slices.plan(service, pods, known, self._zones(pods), cpu)
            endpoints = legacy.plan(service, pods, self._endpoints.get(key))
        results = await asyncio.gather(self._writer.write(service, step), self._write_endpoints(endpoints), return_exceptions=True)
        for error in first_errors(results):
            raise error
        self._report(service, step.balance)
        return DONE

    def _report(self, service: core.Service, results: Mapping[str, str]) -> None:
        """Tell people whether zones are balanced."""
        for type_, reason, message in balance.events(self._balance.pop(Key.of(service), {}), results):
            self._ctx.recorder.event(service, type_, reason, message)
        if results:
            self._balance[Key.of(service)] = results

    def _zones(self, pods: Iterable[SlimPod]) -> dict[str, str]:
        zones = {}
        for name in {pod.spec.nodeName for pod in pods}:
            zone = _zone(self._nodes.get(Key("", name)))
            if zone:
                zones[name] = zone
        return zones

    async def _write_endpoints(self, endpoints: core.Endpoints | None) -> None:
        if endpoints is None:
            return
        with skip_ended():
            if endpoints.metadata.resourceVersion:
                await self._ctx.client.update(endpoints)
            else:
                await self._ctx.client.create(endpoints)

    async def _forget(self, key: Key) -> None:
        """Remove the Endpoints of a deleted Service: slices are owned by it, but Endpoints have no owner. Those of others stay."""
        self._balance.pop(key, None)
        endpoints = self._endpoints.get(key)
        if endpoints is not None and endpoints.metadata.labels.get(legacy.MANAGED_BY) == legacy.MANAGER:
            await delete_exact(self._ctx.client, core.Endpoints, endpoints.metadata)


def _zone(node: core.Node | None) -> str:
    return node.metadata.labels.get(ZONE, "") if node is not None else ""


def _matters(old: SlimPod | None, new: SlimPod | None) -> bool:
    """Return whether a change of a pod can change endpoints: most status updates cannot."""
    return _trace(old) != _trace(new)


def _trace(pod: SlimPod | None) -> object:
    """Return the fields of a pod that endpoints show, None for a pod that is in none."""
    if pod is None or is_finished(pod) or not (pod.status.podIP or pod.status.podIPs):
        return None
    meta, status = pod.metadata, pod.status
    return (meta.uid, meta.labels, meta.deletionTimestamp is None, pod.spec.nodeName, status.podIP, status.podIPs, is_ready(pod))
