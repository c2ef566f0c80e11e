"""The node process: containerd, the kubelet, the service proxy and cluster DNS, over HTTPS to the API server.

containerd and the containers live in sessions of their own: when this process dies they go on, and the next one adopts them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import cancel_and_wait, supervise, until
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import StatusError
from tiphys.api.well_known import LOCAL_PATH_DRIVER, NFS_DRIVER
from tiphys.client.client import Client
from tiphys.csi.driver import Lent
from tiphys.daemon import compose, nfs_storage
from tiphys.daemon.credentials import wait_for_kubeconfig
from tiphys.daemon.local_storage import driver_of, provision
from tiphys.daemon.node_certificates import NodeCertificates
from tiphys.daemon.settings import ClusterSettings

if TYPE_CHECKING:
    from tiphys.node.kubelet import Kubelet
    from tiphys.node.runtime.containerd import ContainerdSupervisor

log = logging.getLogger(__name__)

RESTART = BackoffPolicy(first=0.5, cap=30.0)
PAUSE = "pause"


class NodeDaemon:
    """Daemon of a node: containerd, kubelet, proxy and DNS."""

    def __init__(self, settings: ClusterSettings, *, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings
        self.clock = clock or LoopClock()
        self.rng = rng or random.Random()
        self.started = int(self.clock.now().timestamp())
        self.local_volumes = driver_of(settings) if settings.local_storage.enabled else None
        """Driver of volumes on this machine's disk, which the provisioner and the kubelet share."""
        self._shown = asyncio.Event()
        """Set once the API shows that driver on the node."""
        self.certificates = NodeCertificates(settings, clock=self.clock, rng=self.rng)
        """Certificates that the kubelet requests for itself."""
        self.nfs_volumes = nfs_storage.driver_of(settings) if settings.local_storage.enabled else None
        """Driver of volumes on NFS shares."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; containers keep running. Raises ContainerdError when no runtime is available."""
        # gRPC's own handling of forks serves processes that go on using it in the child, which none of ours do, and logs at every fork.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        ready = await until(stop, self._start())
        if ready is None:
            return
        containerd, client = ready
        certificates = self.certificates
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("containerd", containerd.supervise),
            ("kubelet", lambda: self._run_kubelet(client, containerd)),
            *((f"certificate {name}", manager.run) for name, manager in certificates.managers(client).items()),
            ("network", lambda: self._configure_network(client)),
            ("proxy", lambda: self._run_proxy(client)),
            ("dns", lambda: self._run_dns(client)),
        ]
        if (driver := self.local_volumes) is not None:
            loops.append(("local-storage", lambda: provision(self.settings, driver, self._shown, clock=self.clock, rng=self.rng)))
        if (nfs := self.nfs_volumes) is not None:
            loops.append(("nfs-storage", lambda: nfs_storage.provision(self.settings, nfs, clock=self.clock, rng=self.rng)))
        tasks = [self._supervised(name, run) for name, run in loops]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()
            if driver is not None:
                await driver.close()
            if nfs is not None:
                await nfs.close()

    async def _start(self) -> tuple[ContainerdSupervisor, Client]:
        """Start containerd with the pause image, and return it with a client of the server, which answers unless there are static pods."""
        from tiphys.images.build import ensure_images
        from tiphys.node.runtime.containerd import ContainerdSupervisor

        settings = self.settings
        containerd = ContainerdSupervisor(settings.containerd_dir, settings.run_dir, clock=self.clock)
        await containerd.start()
        await ensure_images([PAUSE], cache_dir=settings.image_cache, containerd_socket=containerd.socket_path)
        kubeconfig = settings.dir / "node.kubeconfig"
        await wait_for_kubeconfig(kubeconfig, clock=self.clock)
        await asyncio.to_thread(self.certificates.prepare)
        client = self.certificates.client(kubeconfig)
        if settings.kubelet.static_pod_path is not None or settings.kubelet.static_pod_url:
            # Static pods run without the API server, which may be one of them.
            return containerd, client
        try:
            await self._wait_for_server(client)
        except BaseException:
            await client.close()
            raise
        return containerd, client

    def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        guarded = supervise(name, run, clock=self.clock, backoff=Backoff(RESTART, rng=self.rng))
        return asyncio.get_running_loop().create_task(guarded, name=name)

    async def _wait_for_server(self, client: Client) -> None:
        backoff = Backoff(BackoffPolicy(first=0.05, cap=2.0), rng=self.rng)
        while True:
            try:
                await client.raw("GET", "/version")
            except (ConnectionError, StatusError):
                await self.clock.sleep(backoff.next())
            else:
                return

    async def _run_kubelet(self, client: Client, containerd: ContainerdSupervisor) -> None:
        from tiphys.daemon.parts import parts
        from tiphys.images.puller import ImagePuller
        from tiphys.node.cri.client import CriClient
        from tiphys.node.kubelet import Kubelet

        settings, containerd_socket = self.settings, str(containerd.socket_path)
        shown = parts(settings, containerd, self.started)
        kubelet_settings = compose.kubelet_settings(settings, socket=containerd_socket, state=containerd.state)
        async with CriClient(containerd_socket) as cri:
            puller = ImagePuller(cri, cache_dir=settings.image_cache, containerd_socket=containerd_socket)
            kubelet = Kubelet(kubelet_settings, client, cri, clock=self.clock, puller=puller, parts=shown)
            self._on_power_failure(kubelet.shutdown.begin)
            lending = asyncio.create_task(self._lend_drivers(kubelet), name="drivers of this process")
            try:
                await kubelet.run()
            finally:
                self._on_power_failure(None)
                await cancel_and_wait(lending)

    def _on_power_failure(self, begin: Callable[[], None] | None) -> None:
        """Let SIGPWR shut the node down. SIGTERM only ends this process: containers go on, and the next one adopts them."""
        loop = asyncio.get_running_loop()
        # Without a kubelet it is ignored: by default it would end the process.
        loop.add_signal_handler(signal.SIGPWR, begin or (lambda: None))

    async def _lend_drivers(self, kubelet: Kubelet) -> None:
        if self.local_volumes is not None:
            await kubelet.csi.drivers.add(LOCAL_PATH_DRIVER, Lent(self.local_volumes))
            self._shown.set()
        if self.nfs_volumes is not None:
            await kubelet.csi.drivers.add(NFS_DRIVER, Lent(self.nfs_volumes))

    async def _configure_network(self, client: Client) -> None:
        """Write the pod network's configuration once the node has its range."""
        from tiphys.node.runtime.cni import write_cni_config

        settings = self.settings
        while True:
            try:
                node = await client.get(core.Node, settings.node_name)
            except StatusError:
                node = None
            if node is not None and node.spec.podCIDR:
                break
            await self.clock.sleep(0.1)
        conf_dir = settings.containerd_dir / "cni" / "net.d"
        await asyncio.to_thread(write_cni_config, conf_dir, bridge=settings.bridge, pod_cidr=node.spec.podCIDR)

    async def _run_proxy(self, client: Client) -> None:
        from tiphys.proxy.loop import ServiceProxy

        await ServiceProxy(compose.proxy(self.settings), client, clock=self.clock, rng=self.rng).run()

    async def _run_dns(self, client: Client) -> None:
        from tiphys.dns.server import DnsServer

        await DnsServer(compose.dns(self.settings), client, clock=self.clock, rng=self.rng).run()
