"""The leases by which API servers show that they are there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.coordination import v1 as coordination
from tiphys.api.machinery.base import micro_time
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.identity import COMPONENT, DURATION, IDENTITY, NAMESPACE, RENEW_SECONDS
from tiphys.client.client import Client
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def leases(client: Client) -> dict[str, coordination.Lease]:
    """The leases of API servers, by name."""
    found = await client.list(coordination.Lease, NAMESPACE, labels=f"{IDENTITY}={COMPONENT}")
    return {one.metadata.name: one for one in found.items}


async def test_a_server_keeps_its_lease_and_its_name(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):
        client = client_for()
        (first,) = (await eventually(lambda: leases(client))).values()
        assert first.metadata.name.startswith("apiserver-")
        assert first.metadata.labels["kubernetes.io/hostname"]
        assert (first.spec.holderIdentity or "").startswith(f"{first.metadata.name}_")
        await client.clock.sleep(RENEW_SECONDS + 1)
        (renewed,) = (await leases(client)).values()
        assert (renewed.metadata.uid, renewed.spec.holderIdentity) == (first.metadata.uid, first.spec.holderIdentity)
        assert (renewed.spec.renewTime or "") > (first.spec.renewTime or "")
        await client.delete(coordination.Lease, first.metadata.name, NAMESPACE)
        await client.clock.sleep(RENEW_SECONDS + 1)
        assert [*await leases(client)] == [first.metadata.name]


async def test_leases_of_servers_that_are_gone_are_removed(tmp_path: Path) -> None:
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):
        client = client_for()
        (own,) = await eventually(lambda: leases(client))
        now = client.clock.now()
        for name, labels, age in (
            ("gone", {IDENTITY: COMPONENT}, DURATION + 1),
            ("there", {IDENTITY: COMPONENT}, DURATION - 2 * RENEW_SECONDS),
            ("other", {}, 2 * DURATION),
            ("never", {IDENTITY: COMPONENT}, None),
        ):
            renewed = None if age is None else micro_time(now - timedelta(seconds=age))
            spec = coordination.LeaseSpec(leaseDurationSeconds=DURATION, holderIdentity=name, renewTime=renewed)
            await client.create(coordination.Lease(metadata=ObjectMeta(name=name, namespace=NAMESPACE, labels=labels), spec=spec))
        await client.clock.sleep(RENEW_SECONDS + 1)
        assert {*await leases(client)} == {own, "there"}
        assert await client.get(coordination.Lease, "other", NAMESPACE)
        await client.clock.sleep(3 * RENEW_SECONDS)
        assert {*await leases(client)} == {own}
