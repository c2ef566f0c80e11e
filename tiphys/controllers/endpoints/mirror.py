"""EndpointSlices for Endpoints written by hand, for Services without a selector ("EndpointSlice mirroring").

Readers of slices (the service proxy, the DNS) then find these backends as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.well_known import SERVICE_NAME, SKIP_MIRROR
from tiphys.controllers.endpoints import legacy, slices
from tiphys.controllers.endpoints.backends import Port, family_of, inherited, sorted_ports
from tiphys.controllers.endpoints.writing import SliceWriter
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole

MANAGER = "endpointslicemirroring-controller.k8s.io"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MIRRORED = "mirrored endpoint slices"
CAPACITY = 1000
"""Maximum number of addresses per subset."""


def wants_mirror(service: core.Service | None, endpoints: core.Endpoints) -> bool:
    """Return whether the Endpoints were written by hand for a Service without a selector. Pure."""
    meta = endpoints.metadata
    if meta.labels.get(SKIP_MIRROR) == "true" or LEADER in meta.annotations or meta.labels.get(legacy.MANAGED_BY) == legacy.MANAGER:
        return False
    return service is not None and not service.spec.selector and service.spec.type != "ExternalName"


def plan(endpoints: core.Endpoints, known: Iterable[discovery.EndpointSlice], *, mirrored: bool) -> slices.Plan:
    """Plan the writes that update the mirrored slices. Pure."""
    meta = endpoints.metadata
    labels = inherited(meta.labels, (SERVICE_NAME, slices.MANAGED_BY))
    labels = {**labels, SERVICE_NAME: meta.name, slices.MANAGED_BY: MANAGER}
    groups: dict[tuple[str, tuple[Port, ...]], dict[str, discovery.Endpoint]] = {}
    for subset in endpoints.subsets if mirrored else ():
        ports = sorted_ports(Port(port.name, port.protocol or "TCP", port.port, port.appProtocol) for port in subset.ports)
        addresses = [(address, True) for address in subset.addresses] + [(address, False) for address in subset.notReadyAddresses]
        for address, ready in addresses[:CAPACITY]:
            endpoint = _endpoint(address, ready=ready)
            groups.setdefault((family_of(address.ip), ports), {})[slices.identity(endpoint)] = endpoint
    return slices.arrange(slices.Frame(meta.name, meta.namespace, meta.uid, labels), groups, known)


def _endpoint(address: core.EndpointAddress, *, ready: bool) -> discovery.Endpoint:
    return discovery.Endpoint(
        addresses=[address.ip],
        conditions=discovery.EndpointConditions(ready=ready, serving=ready),
        hostname=address.hostname or None,
        nodeName=address.nodeName,
        targetRef=address.targetRef,
    )


def _by_endpoints(slice_: discovery.EndpointSlice) -> Iterable[str]:
    meta = slice_.metadata
    if meta.labels.get(slices.MANAGED_BY) != MANAGER:
        return ()
    return (f"{meta.namespace}/{meta.labels.get(SERVICE_NAME, '')}",)


def _key(slice_: discovery.EndpointSlice) -> Iterable[Key]:
    return [Key(slice_.metadata.namespace, slice_.metadata.labels[SERVICE_NAME]) for _ in _by_endpoints(slice_)]


class MirrorController:
    """Mirrors Endpoints. Keys are Endpoints, which have the names of their Services."""

    declaration = Declaration(
        name="endpointslicemirroring-controller",
        kind=core.Endpoints,
        roles=("endpointslicemirroring-controller",),
        reads=(Whole(core.Service), Whole(core.Endpoints), Whole(discovery.EndpointSlice)),
    )

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._services = ctx.read(core.Service)
        self._endpoints = ctx.read(core.Endpoints)
        self._slices = ctx.read(discovery.EndpointSlice)
        self._slices.add_index(MIRRORED, _by_endpoints)
        self._writer = SliceWriter(ctx.client, self._slices, MANAGER)
        ctx.watch(self._endpoints)
        ctx.watch(self._services)
        ctx.watch(self._slices, _key)

    async def reconcile(self, key: Key) -> Result:
        endpoints = self._endpoints.get(key)
        if endpoints is None or endpoints.metadata.deletionTimestamp is not None:
            # Without them the slices go by ownership.
            self._writer.forget(key)
            return DONE
        known = await self._writer.settle(endpoints, self._slices.by_index(MIRRORED, f"{key.namespace}/{key.name}"))
        mirrored = wants_mirror(self._services.get(key), endpoints)
        if mirrored or known:
            await self._writer.write(endpoints, plan(endpoints, known, mirrored=mirrored))
        return DONE
