"""A kubelet requests its certificates, and renews them while it runs: one year in a test."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from tests.integration.apiserver.process import free_port
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.daemon import compose
from tiphys.daemon.node_certificates import NodeCertificates
from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.server import Daemon
from tiphys.node.cri.client import CriClient
from tiphys.node.kubelet import Kubelet
from tiphys.testing import eventually
from tiphys.testing.faults import NoServer
from tiphys.testing.moved_clock import MovedClock

MONTHS = timedelta(days=334)
SERVING = "kubernetes.io/kubelet-serving"
APPROVED = CertificateSigningRequestCondition(type="Approved", status="True", reason="Test", message="By a person")


class Months(MovedClock):
    """A clock whose intervals are moved, too: the client looks at its files by them."""

    def monotonic(self) -> float:
        return super().monotonic() + (self.offset + MONTHS).total_seconds()


class Machine:
    """A server process's inside, and the kubelet's part that has to do with certificates."""

    def __init__(self, directory: Path, clock: MovedClock) -> None:
        self.directory, self.clock = directory, clock
        settings = cluster_settings(directory, secure_port=free_port(), store="memory://", node_name="helm", node_ip=("127.0.0.1",))
        kubelet = msgspec.structs.replace(settings.kubelet, rotate_certificates=True, server_tls_bootstrap=True)
        self.settings = msgspec.structs.replace(settings, kubelet=kubelet)
        self.daemon = Daemon(self.settings, clock=clock)

    @property
    def admin(self) -> Client:
        return kubeconfig.load(self.directory / "admin.kubeconfig", clock=self.clock)

    def serial(self, name: str) -> int:
        """Serial number of the certificate in use."""
        return x509.load_pem_x509_certificate((self.directory / "node/pki" / f"kubelet-{name}-current.pem").read_bytes()).serial_number

    def cluster_serial(self, name: str) -> int:
        return x509.load_pem_x509_certificate((self.directory / "pki" / f"{name}.crt").read_bytes()).serial_number

    @contextlib.asynccontextmanager
    async def node(self) -> AsyncIterator[Node]:
        """A node process's part: its client, its server, and the loops that renew their certificates."""
        certificates = NodeCertificates(self.settings, clock=self.clock, rng=random.Random(1))
        await asyncio.to_thread(certificates.prepare)
        client = certificates.client(self.directory / "node.kubeconfig")
        settings = compose.kubelet_settings(self.settings, socket="", state=self.directory)
        settings = msgspec.structs.replace(settings, bind="127.0.0.1", port=0)
        kubelet = Kubelet(settings, Client(NoServer()), CriClient(self.directory / "none.sock"), clock=self.clock)
        server = kubelet._server()
        assert server is not None
        await server.start()
        tasks = [asyncio.create_task(manager.run()) for manager in certificates.managers(client).values()]
        try:
            yield Node(client, server.port, self.directory / "pki")
        finally:
            await cancel_and_wait(*tasks)
            await server.close()
            await client.close()


class Node:
    """A running node as its server's callers see it."""

    def __init__(self, client: Client, port: int, pki: Path) -> None:
        self.client, self.port = client, port
        self._context = ssl.create_default_context(cafile=pki / "ca.crt")

    async def shown(self) -> int:
        """Serial number of the certificate that the kubelet's server presents, which must be valid for its address."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self._context)
        serial = int(str(writer.get_extra_info("peercert")["serialNumber"]), 16)
        writer.transport.abort()
        return serial


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path, Months(-MONTHS))
    stop, daemon = asyncio.Event(), machine.daemon
    task = asyncio.create_task(daemon.run(stop, parts=("apiserver", "controller-manager")))

    def serves() -> bool:
        return task.done() or (daemon.server is not None and not any(daemon.server.health.results("readyz").values()))

    try:
        await eventually(serves, timeout=60)
        yield machine
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def pending(admin: Client) -> list[CertificateSigningRequest]:
    requests = (await admin.list(CertificateSigningRequest, fields=f"spec.signerName={SERVING}")).items
    return [csr for csr in requests if not csr.status.conditions]


async def approve(admin: Client) -> str:
    """Approve the one pending request for a serving certificate, as a person does."""
    (csr,) = await eventually(lambda: pending(admin))
    csr.status.conditions = [APPROVED]
    await admin.update(csr, subresource="approval")
    return csr.metadata.name


async def test_a_node_renews_its_certificates_for_eleven_months(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    admin = machine.admin
    async with machine.node() as node:
        await eventually(lambda: machine.serial("client") != machine.cluster_serial("node"))
        # Nobody has approved the serving certificate yet: the cluster's own serves.
        assert await node.shown() == machine.serial("server") == machine.cluster_serial("kubelet-server")
        await eventually(lambda: pending(admin))
    async with machine.node() as node:
        first_client = machine.serial("client")
        name = await approve(admin)
        await eventually(lambda: machine.serial("server") != machine.cluster_serial("kubelet-server"))
        assert len((await admin.list(CertificateSigningRequest, fields=f"metadata.name={name}")).items) == 1
        first_server = machine.serial("server")
    async with machine.node() as node:
        assert (await node.shown(), machine.serial("client")) == (first_server, first_client)
        await node.client.create(core.Node(metadata=ObjectMeta(name="helm")))

        machine.clock.move(timedelta())
        await eventually(lambda: machine.serial("client") != first_client)
        await approve(admin)
        await eventually(lambda: machine.serial("server") != first_server)

        async def follows() -> bool:
            machine.clock.move(machine.clock.offset + timedelta(minutes=2))
            await node.client.get(core.Node, "helm")
            reloaded = {Path(getattr(record, "file", "")).name for record in caplog.records if record.message == "certificate reloaded"}
            return await node.shown() == machine.serial("server") and "kubelet-client-current.pem" in reloaded

        await eventually(follows, timeout=60)
    await admin.close()
