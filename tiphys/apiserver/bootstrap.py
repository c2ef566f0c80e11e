"""Objects of every new cluster: the system namespaces, default roles, priority classes and the `kubernetes` Service.

Written through the ordinary chain as the server itself, at every start; existing objects stay, apart from those that must be restored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.base import time
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import Condition, KubeObject, ObjectMeta
from tiphys.api.networking.v1 import ServiceCIDR, ServiceCIDRSpec, ServiceCIDRStatus
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.api.well_known import SERVICE_NAME, SKIP_MIRROR
from tiphys.apiserver.admission.priority import system_priority_classes
from tiphys.apiserver.allocate import DEFAULT_RANGE
from tiphys.apiserver.auth.defaults import Write, aggregation_updates, reconcile_defaults
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.wire.http import PeerIdentity, Request, Response

log = logging.getLogger(__name__)

RANGE_READY = "Kubernetes default Service CIDR is ready"
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")
SELF = PeerIdentity(common_name="system:apiserver", organizations=("system:masters",))
_JSON = {"content-type": "application/json", "user-agent": "tiphys-apiserver"}


class Handler(Protocol):
    async def handle(self, request: Request) -> Response: ...


class BootstrapError(Exception):
    """The server cannot write what it needs; the message carries the API's answer."""


class Bootstrap:
    """Brings the system objects into being."""

    def __init__(self, app: Handler, scheme: Scheme, source: TypedSource, now: Callable[[], datetime]) -> None:
        self._app = app
        self._scheme = scheme
        self._source = source
        self._now = now

    async def run(self, *, service_range: str, service_ip: str, dns_ip: str, advertise: str, port: int) -> None:
        """Write missing objects; raises BootstrapError.

        Independent ones are written at once: the store commits all waiting writes together.
        """
        missing = [name for name in SYSTEM_NAMESPACES if self._source.get(core.Namespace, "", name) is None]
        await asyncio.gather(*(self._create(core.Namespace(metadata=ObjectMeta(name=name))) for name in missing))
        await asyncio.gather(
            self._roles(),
            *(
                self._create(priority_class)
                for priority_class in system_priority_classes()
                if self._source.get(PriorityClass, "", priority_class.metadata.name) is None
            ),
            self._service_range(service_range),
            self._kubernetes_service(service_ip, advertise, port),
            self._dns_service(dns_ip),
        )

    async def _roles(self) -> None:
        existing: list[Any] = []
        for type_ in (ClusterRole, ClusterRoleBinding, Role, RoleBinding):
            existing += self._source.objects(type_)
        await asyncio.gather(*(self._restore(write) for write in reconcile_defaults(existing)))
        await self.aggregate()

    async def _restore(self, write: Write) -> None:
        if write.action == "replace":
            await self._delete(write.object)
        await (self._update(write.object) if write.action == "update" else self._create(write.object))

    async def aggregate(self) -> None:
        """Fill the aggregated cluster roles."""
        for role in aggregation_updates(self._source.objects(ClusterRole)):
            await self._update(role)

    async def _service_range(self, text: str) -> None:
        """The ServiceCIDR for the range in the server's settings, ready from the start."""
        current = self._source.get(ServiceCIDR, "", DEFAULT_RANGE)
        if current is None:
            current = ServiceCIDR(metadata=ObjectMeta(name=DEFAULT_RANGE), spec=ServiceCIDRSpec(cidrs=[text]))
            await self._create(current)
        elif current.spec.cidrs != [text]:
            message = "the ServiceCIDR kubernetes does not match the range in the settings: Services keep the addresses of the old one"
            log.warning(message, extra={"there": current.spec.cidrs, "settings": text})
        if current.metadata.deletionTimestamp is None and not current.status.conditions:
            ready = Condition(type="Ready", status="True", message=RANGE_READY, lastTransitionTime=time(self._now()))
            marked = ServiceCIDR(metadata=ObjectMeta(name=DEFAULT_RANGE), spec=current.spec, status=ServiceCIDRStatus(conditions=[ready]))
            await self._update(marked, "status")

    async def _kubernetes_service(self, service_ip: str, advertise: str, port: int) -> None:
        """The Service by which pods reach the API, and the endpoints behind it, which no selector finds."""
        meta = ObjectMeta(name="kubernetes", namespace="default", labels={"component": "apiserver", "provider": "kubernetes"})
        if self._source.get(core.Service, "default", "kubernetes") is None:
            ports = [core.ServicePort(name="https", protocol="TCP", port=443, targetPort=port)]
            await self._create(core.Service(metadata=meta, spec=core.ServiceSpec(clusterIP=service_ip, ports=ports)))
        slice_ = discovery.EndpointSlice(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels={SERVICE_NAME: "kubernetes"}),
            addressType="IPv4",
            endpoints=[discovery.Endpoint(addresses=[advertise], conditions=discovery.EndpointConditions(ready=True))],
            ports=[discovery.EndpointPort(name="https", port=port, protocol="TCP")],
        )
        endpoints = core.Endpoints(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels={SKIP_MIRROR: "true"}),
            subsets=[
                core.EndpointSubset(
                    addresses=[core.EndpointAddress(ip=advertise)],
                    ports=[core.EndpointPort(name="https", port=port, protocol="TCP")],
                )
            ],
        )
        for obj in (slice_, endpoints):
            if self._source.get(type(obj), "default", "kubernetes") is None:
                await self._create(obj)
            else:
                await self._update(obj)

    async def _dns_service(self, address: str) -> None:
        """The Service of cluster DNS: every node answers its address by itself, so it has neither selector nor endpoints."""
        if self._source.get(core.Service, "kube-system", "kube-dns") is None:
            labels = {"k8s-app": "kube-dns"}
            ports = [
                core.ServicePort(name=f"dns{'-tcp' if p == 'TCP' else ''}", protocol=p, port=53, targetPort=53) for p in ("UDP", "TCP")
            ]
            meta = ObjectMeta(name="kube-dns", namespace="kube-system", labels=labels)
            await self._create(core.Service(metadata=meta, spec=core.ServiceSpec(clusterIP=address, ports=ports)))

    async def _create(self, obj: KubeObject) -> None:
        kind = self._scheme.of(type(obj))
        await self._send("POST", kind.path(obj.metadata.namespace), obj)

    async def _update(self, obj: KubeObject, subresource: str = "") -> None:
        kind = self._scheme.of(type(obj))
        await self._send("PUT", kind.path(obj.metadata.namespace, obj.metadata.name, subresource), obj)

    async def _delete(self, obj: KubeObject) -> None:
        kind = self._scheme.of(type(obj))
        await self._send("DELETE", kind.path(obj.metadata.namespace, obj.metadata.name), None)

    async def write(self, method: str, obj: KubeObject, subresource: str = "") -> None:
        """Send an object as the server itself; raises BootstrapError unless it is done, or another server was first."""
        kind = self._scheme.of(type(obj))
        name = "" if method == "POST" else obj.metadata.name
        await self._send(method, kind.path(obj.metadata.namespace, name, subresource), None if method == "DELETE" else obj)

    async def _send(self, method: str, path: str, obj: KubeObject | None) -> None:
        body = b"" if obj is None else msgspec.json.encode(obj)
        response = await self._app.handle(Request(method, path, headers=_JSON, body=body, peer=SELF))
        gone = response.status == 404 and method != "POST"
        if response.status >= 400 and response.status != 409 and not gone:
            raise BootstrapError(f"{method} {path}: {response.body.decode()}")
