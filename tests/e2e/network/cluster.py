"""A service proxy and DNS of one cluster on a machine, with an API server in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.e2e.network.machine import Machine, Pod
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import ZONE
from tiphys.proxy.loop import ServiceProxy
from tiphys.proxy.settings import ProxySettings
from tiphys.testing.memory_api import MemoryApi

NODE = "n1"


class Cluster:
    """`number` tells clusters on one machine apart: pods 10.<number>.0.0/16, Services 10.<number + 1>.0.0/16."""

    def __init__(self, machine: Machine, directory: Path, api: MemoryApi, number: int = 62) -> None:
        self.machine = machine
        self.number = number
        self.api = api
        self.bridge = f"tph{number}"
        self.settings = ProxySettings(
            table=f"tiphys_e2e_{number}",
            bridge=self.bridge,
            pod_range=f"10.{number}.0.0/16",
            service_range=f"10.{number + 1}.0.0/16",
            node_name=NODE,
            dns_address=self.ip(10),
            forwarding_record=directory / "forwarding",
        )
        self.proxy: ServiceProxy | None = None
        self._task: asyncio.Task[None] | None = None
        self._pods = 1

    @classmethod
    @asynccontextmanager
    async def running(cls, machine: Machine, directory: Path, number: int = 62) -> AsyncIterator[Cluster]:
        """A cluster with its bridge and no Services; its proxy is not started yet."""
        async with MemoryApi.running(service_range=f"10.{number + 1}.0.0/16") as api:
            await api.start()
            for type_ in (core.Service, discovery.EndpointSlice):
                for obj in api.list(type_):
                    api.remove(type_, obj.metadata.name, obj.metadata.namespace)
            made = cls(machine, directory, api, number)
            made.add_bridge()
            try:
                yield made
            finally:
                await made.stop()

    def ip(self, last: int) -> str:
        """An address of a Service."""
        return f"10.{self.number + 1}.0.{last}"

    # Pods

    def add_bridge(self) -> None:
        self.machine.add_bridge(self.bridge, f"10.{self.number}.0.1")

    def pod(self, name: str) -> Pod:
        self._pods += 1
        return self.machine.add_pod(name, f"10.{self.number}.0.{self._pods}", self.bridge)

    # The proxy

    async def start(self, **changes: Any) -> None:
        """Start the proxy and wait until its rules are in place."""
        self.settings = replace(self.settings, **changes)
        self.proxy = ServiceProxy(self.settings, self.api.client(), clock=LoopClock(), rng=random.Random(1))
        self._task = asyncio.get_running_loop().create_task(self.proxy.run(), name="proxy")
        waiting = asyncio.ensure_future(self.proxy.synced.wait())
        await asyncio.wait((waiting, self._task), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        assert waiting.done(), "the proxy's rules are not in place"

    async def stop(self) -> None:
        """End the proxy; its rules stay."""
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None

    # Objects

    def node(self, zone: str) -> None:
        """Put the node in place, in a zone."""
        self.api.add(core.Node(metadata=ObjectMeta(name=NODE, labels={ZONE: zone})))

    def service(self, name: str, last: int, **spec: Any) -> core.Service:
        """Put a Service with port 80 in place."""
        spec.setdefault("ports", [core.ServicePort(name="http", port=80, protocol="TCP")])
        service = core.Service(
            metadata=ObjectMeta(name=name, namespace="default"),
            spec=core.ServiceSpec(clusterIP=self.ip(last) if last else "None", **{"type": "ClusterIP", **spec}),
        )
        self.api.add(service)
        return service

    def endpoints(
        self,
        service: str,
        pods: Sequence[Pod | str],
        *,
        port: int = 8080,
        protocol: str = "TCP",
        port_name: str = "http",
        node: str = NODE,
        conditions: discovery.EndpointConditions | None = None,
        piece: str = "a",
        hostnames: bool = False,
        hints: discovery.EndpointHints | None = None,
    ) -> None:
        """Put an EndpointSlice in place."""
        self.api.add(
            discovery.EndpointSlice(
                metadata=ObjectMeta(name=f"{service}-{piece}", namespace="default", labels={"kubernetes.io/service-name": service}),
                addressType="IPv4",
                ports=[discovery.EndpointPort(name=port_name, port=port, protocol=protocol)],
                endpoints=[
                    discovery.Endpoint(
                        addresses=[pod if isinstance(pod, str) else pod.address],
                        nodeName=node,
                        hostname=pod.name if hostnames and isinstance(pod, Pod) else None,
                        conditions=conditions or discovery.EndpointConditions(ready=True),
                        hints=hints,
                    )
                    for pod in pods
                ],
            )
        )
