"""The loop that keeps a certificate valid, over the real API server in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.controllers.certificates.plan import Authority, issue
from tiphys.daemon import pki
from tiphys.node.certificates import metrics
from tiphys.node.certificates.manager import CertificateManager
from tiphys.node.certificates.metrics import Measures
from tiphys.node.certificates.request import serving_template
from tiphys.node.certificates.store import Bootstrap, PairStore
from tiphys.obs.metrics import REGISTRY
from tiphys.testing import eventually
from tiphys.testing.certificates import Pair
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600.0, 86400.0


class Node:
    """A kubelet's serving certificate, and the person who approves and the signer who signs."""

    def __init__(self, api: MemoryApi, root: Path) -> None:
        self.api, self.root, self.clock = api, root, VirtualClock(START)
        keys = pki.ensure(root / "cluster", START, names=pki.Names(), nodes=["n1"])
        self.bootstrap = Bootstrap(*keys.pair("kubelet-server"), keys.ca)
        self.addresses = ["192.0.2.7"]
        authority = x509.load_pem_x509_certificate(keys.ca.read_bytes())
        key = pki._read_key(keys.ca_key)
        assert key is not None
        self.ca = Pair(authority, key)
        self.measures = Measures("server", self.clock)

    @contextlib.asynccontextmanager
    async def manager(self) -> AsyncIterator[None]:
        self.store = PairStore(self.root / "node", "kubelet-server", "system:node:n1", self.bootstrap)
        client = self.api.client("system:node:n1", "system:nodes")
        manager = CertificateManager(
            self.store,
            lambda: serving_template("n1", self.addresses),
            client,
            self.measures,
            clock=self.clock,
            rng=random.Random(1),
        )
        task = asyncio.create_task(manager.run())
        try:
            yield
            assert not task.done(), task
        finally:
            await cancel_and_wait(task)

    def open(self) -> list[CertificateSigningRequest]:
        """Requests that nobody has decided on."""
        return [csr for csr in self.api.list(CertificateSigningRequest) if not csr.status.conditions]

    async def request(self, *names: str) -> CertificateSigningRequest:
        """Wait for an undecided request with names besides the node's."""

        def look() -> CertificateSigningRequest | None:
            for csr in self.open():
                extension = x509.load_pem_x509_csr(csr.spec.request).extensions.get_extension_for_class(x509.SubjectAlternativeName)
                if {str(name.value) for name in extension.value} == {"n1", *names}:
                    return csr
            return None

        return await eventually(look, timeout=DAY, interval=5)

    def decide(self, csr: CertificateSigningRequest, type_: str, *, days: float = 100) -> None:
        csr.status.conditions = [CertificateSigningRequestCondition(type=type_, status="True", reason="Test", message="said so")]
        if type_ == "Approved":
            request = x509.load_pem_x509_csr(csr.spec.request)
            authority = Authority(self.ca.cert, self.ca.key)
            made = issue(request, csr.spec.usages, timedelta(days=days), authority, self.clock.now(), x509.random_serial_number())
            csr.status.certificate = made.public_bytes(serialization.Encoding.PEM)
        self.api.add(csr)

    def in_use(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.store.current.read_bytes())

    async def used(self, csr: CertificateSigningRequest) -> None:
        """Wait until the certificate of a request is in use."""
        made = x509.load_pem_x509_certificate(csr.status.certificate)
        await eventually(lambda: self.in_use() == made, timeout=DAY, interval=5)


@pytest.fixture
def node(api: MemoryApi, tmp_path: Path) -> Node:
    return Node(api, tmp_path)


async def test_renews_in_the_last_third_of_the_lifetime(node: Node) -> None:
    async with node.manager():
        first = await node.request("192.0.2.7")
        node.decide(first, "Approved", days=1 / 12)
        await node.used(first)
        await node.clock.sleep(1.38 * HOUR)
        assert node.open() == []
        assert 0.6 * HOUR < node.measures._ttl() < 0.63 * HOUR
        await node.clock.sleep(0.44 * HOUR)
        second = await node.request("192.0.2.7")
        node.decide(second, "Approved")
        await node.used(second)
        assert node.in_use().public_key() != x509.load_pem_x509_certificate(first.status.certificate).public_key()


async def test_requests_again_when_the_addresses_change(node: Node) -> None:
    async with node.manager():
        # Also while the first request still waits for its approval.
        await node.request("192.0.2.7")
        node.addresses = ["192.0.2.8"]
        second = await node.request("192.0.2.8")
        node.decide(second, "Approved")
        await node.used(second)
        node.addresses = ["192.0.2.8", "192.0.2.9"]
        third = await node.request("192.0.2.8", "192.0.2.9")
        node.decide(third, "Approved")
        await node.used(third)


async def test_one_request_waits_long_and_over_restarts(node: Node) -> None:
    async with node.manager():
        first = await node.request("192.0.2.7")
        await node.clock.sleep(HOUR / 2)
    async with node.manager():
        await node.clock.sleep(HOUR / 2)
        assert [csr.metadata.name for csr in node.api.list(CertificateSigningRequest)] == [first.metadata.name]
        # The cleaner removes requests that nobody decides on.
        node.api.remove(CertificateSigningRequest, first.metadata.name)
        again = await node.request("192.0.2.7")
        node.decide(again, "Approved")
        await node.used(again)
    async with node.manager():
        await node.clock.sleep(HOUR)
        assert node.open() == []
        await node.used(again)


async def test_a_decision_is_found_after_a_restart(node: Node) -> None:
    async with node.manager():
        first = await node.request("192.0.2.7")
    node.decide(first, "Approved")
    async with node.manager():
        await node.used(first)


@pytest.mark.parametrize("type_", ["Denied", "Failed"])
async def test_a_refused_request_is_followed_by_another_one_after_a_while(node: Node, type_: str) -> None:
    before = metrics.SERVING_ERRORS.labels().value
    async with node.manager():
        first = await node.request("192.0.2.7")
        node.decide(first, type_)
        second = await node.request("192.0.2.7")
        assert second.metadata.name != first.metadata.name
        assert metrics.SERVING_ERRORS.labels().value == before + 1
        node.decide(second, "Approved")
        await node.used(second)


async def test_a_certificate_for_another_key_is_not_used(node: Node) -> None:
    async with node.manager():
        first = await node.request("192.0.2.7")
        first.status.certificate = node.bootstrap.certificate.read_bytes()
        first.status.conditions = [CertificateSigningRequestCondition(type="Approved", status="True")]
        node.api.add(first)
        second = await node.request("192.0.2.7")
        node.decide(second, "Approved")
        await node.used(second)


async def test_waits_out_an_api_server_that_is_away(node: Node) -> None:
    await node.api.start()
    await node.api.stop()
    async with node.manager():
        before = metrics.SERVING_ERRORS.labels().value
        await node.clock.sleep(HOUR)
        assert 5 < metrics.SERVING_ERRORS.labels().value - before < 20
        await node.api.start()
        first = await node.request("192.0.2.7")
        node.decide(first, "Approved")
        await node.used(first)


async def test_metrics_say_how_long_the_certificate_lasts(node: Node) -> None:
    assert node.measures._ttl() == math.inf
    async with node.manager():
        await node.request("192.0.2.7")
        lines = list(REGISTRY.families["kubelet_certificate_manager_server_ttl_seconds"].lines())
        assert 364 * DAY < float(lines[-1].rpartition(" ")[2]) < 365 * DAY
    assert node.measures._ttl() == math.inf, "a manager that has ended tells nothing"
