"""Hollow nodes against the real API server, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import HOSTNAME, LOCAL_PATH_DRIVER
from tiphys.client.client import Client
from tiphys.node.hollow.fleet import Fleet
from tiphys.node.hollow.settings import HollowSettings
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def running_fleet(client: Client, settings: HollowSettings | None = None) -> AsyncIterator[None]:
    fleet = Fleet(settings or HollowSettings(count=2), client, clock=client.clock, rng=client.rng)
    task = asyncio.create_task(fleet.run())
    try:
        await eventually(lambda: fleet.synced)
        yield
        assert not task.done(), task
    finally:
        await cancel_and_wait(task)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api_server(tmp_path, clock=VirtualClock()) as (_, client_for):
        made = client_for()
        await made.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        yield made


def pod(name: str, *, policy: str = "Always", init: bool = False, node: str = "hollow-0", grace: int = 30, **annotations: str) -> core.Pod:
    marks = {f"hollow.tiphys.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    spec = core.PodSpec(
        nodeName=node,
        restartPolicy=policy,
        terminationGracePeriodSeconds=grace,
        containers=[core.Container(name="main", image="web")],
        initContainers=[core.Container(name="setup", image="tool")] if init else [],
    )
    return core.Pod(metadata=ObjectMeta(name=name, namespace="default", annotations=marks), spec=spec)


async def reached(client: Client, name: str, test: Callable[[core.Pod], bool]) -> core.Pod:
    """The pod once the test holds."""
    found: list[core.Pod] = []

    async def check() -> bool:
        found[:] = [await client.get(core.Pod, name, "default")]
        return test(found[0])

    await eventually(check)
    return found[0]


def is_ready(pod: core.Pod) -> bool:
    return is_true(pod.status.conditions, "Ready")


def waits_as(reason: str) -> Callable[[core.Pod], bool]:
    def test(pod: core.Pod) -> bool:
        waiting = pod.status.containerStatuses[0].state.waiting if pod.status.containerStatuses else None
        return waiting is not None and waiting.reason == reason

    return test


async def test_nodes_register_and_stay_ready(client: Client) -> None:
    async with running_fleet(client, HollowSettings(count=3, zones=2, labels={"pool": "big"}, taints=("dedicated=x:NoSchedule",))):
        await eventually(lambda: _all_there(client, 3))
        nodes = (await client.list(core.Node)).items
        assert [node.metadata.name for node in nodes] == ["hollow-0", "hollow-1", "hollow-2"]
        assert len({node.status.addresses[0].address for node in nodes}) == 3
        assert [node.metadata.labels["topology.kubernetes.io/zone"] for node in nodes] == ["zone-1", "zone-2", "zone-1"]
        assert nodes[0].metadata.labels["pool"] == "big"
        assert nodes[0].spec.taints[0].key == "dedicated"
        before = await client.get(coordination.Lease, "hollow-0", "kube-node-lease")
        await client.clock.sleep(11.0)
        after = await client.get(coordination.Lease, "hollow-0", "kube-node-lease")
        assert before.spec.renewTime is not None
        assert after.spec.renewTime is not None
        assert after.spec.renewTime > before.spec.renewTime
        assert after.metadata.ownerReferences[0].uid == nodes[0].metadata.uid


async def _all_there(client: Client, count: int) -> bool:
    nodes, leases = (await client.list(core.Node)).items, (await client.list(coordination.Lease, "kube-node-lease")).items
    return len(leases) == len(nodes) == count


async def test_a_pod_runs_with_an_address_and_goes_when_deleted(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("a"))
        await client.create(pod("b"))
        first, second = await reached(client, "a", is_ready), await reached(client, "b", is_ready)
        assert first.status.phase == "Running"
        assert first.status.podIP != second.status.podIP != ""
        assert first.status.hostIP == "127.64.0.1"
        await client.delete(core.Pod, "a", "default")
        await eventually(lambda: _is_gone(client, "a"))


async def _is_gone(client: Client, name: str) -> bool:
    try:
        await client.get(core.Pod, name, "default")
    except NotFound:
        return True
    return False


async def test_delays_show_as_on_a_real_node(client: Client) -> None:
    async with running_fleet(client):
        made = await client.create(pod("slow", init=True, pull="5s", start="2s", ready="10s"))
        assert made.status.phase == "Pending"
        waiting = await reached(client, "slow", waits_as("PodInitializing"))
        assert waiting.status.phase == "Pending"
        begun = client.clock.now()
        running = await reached(client, "slow", lambda pod: pod.status.phase == "Running")
        assert not is_ready(running)
        started = (client.clock.now() - begun).total_seconds()
        await reached(client, "slow", is_ready)
        assert (client.clock.now() - begun).total_seconds() - started >= 9.0


async def test_a_failing_container_backs_off(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("bad", run="1s", exit_code="3"))
        found = await reached(client, "bad", waits_as("CrashLoopBackOff"))
        status = found.status.containerStatuses[0]
        assert status.lastState.terminated is not None
        assert (status.lastState.terminated.exitCode, status.lastState.terminated.reason) == (3, "Error")
        await client.clock.sleep(60.0)
        assert 3 <= (await client.get(core.Pod, "bad", "default")).status.containerStatuses[0].restartCount <= 4


async def test_a_container_that_fails_a_few_times_recovers(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("shy", exit_code="1", failures="2"))
        found = await reached(client, "shy", is_ready)
        assert found.status.containerStatuses[0].restartCount == 2


async def test_pods_end_in_the_phase_that_their_exit_code_says(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("good", policy="Never", run="2s"))
        await client.create(pod("oom", policy="Never", run="2s", oom="true"))
        await reached(client, "good", lambda pod: pod.status.phase == "Succeeded")
        found = await reached(client, "oom", lambda pod: pod.status.phase == "Failed")
        ended = found.status.containerStatuses[0].state.terminated
        assert ended is not None
        assert (ended.exitCode, ended.reason) == (137, "OOMKilled")


@pytest.mark.parametrize(("stop", "grace", "seconds"), [("5s", 30, 5.0), ("60s", 10, 10.0)])
async def test_termination_takes_its_time_and_no_more_than_the_grace_period(client: Client, stop: str, grace: int, seconds: float) -> None:
    async with running_fleet(client):
        await client.create(pod("busy", stop=stop, grace=grace))
        await reached(client, "busy", is_ready)
        begun = client.clock.now()
        await client.delete(core.Pod, "busy", "default")
        await eventually(lambda: _is_gone(client, "busy"))
        assert seconds <= (client.clock.now() - begun).total_seconds() < seconds + 1.0


async def test_a_lost_node_is_silent_until_it_is_found(client: Client) -> None:
    async with running_fleet(client):
        await eventually(lambda: _all_there(client, 2))
        await client.patch(core.Node, "hollow-0", body={"metadata": {"annotations": {"hollow.tiphys.io/lost": "true"}}})
        before = await client.get(coordination.Lease, "hollow-0", "kube-node-lease")
        await client.create(pod("waits"))
        await client.clock.sleep(60.0)
        assert (await client.get(coordination.Lease, "hollow-0", "kube-node-lease")).spec == before.spec
        assert (await client.get(core.Pod, "waits", "default")).status.phase == "Pending"
        await client.patch(core.Node, "hollow-0", body={"metadata": {"annotations": {"hollow.tiphys.io/lost": None}}})
        await reached(client, "waits", is_ready)
        assert (await client.get(coordination.Lease, "hollow-0", "kube-node-lease")).spec != before.spec


async def test_another_process_takes_over_what_is_there(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("stays", run="60s", exit_code="4", policy="Never"))
        before = await reached(client, "stays", is_ready)
    async with running_fleet(client):
        await client.clock.sleep(40.0)
        assert (await client.get(core.Pod, "stays", "default")).status == before.status
        found = await reached(client, "stays", lambda pod: pod.status.phase == "Failed")
        ended = found.status.containerStatuses[0].state.terminated
        assert ended is not None
        assert ended.exitCode == 4


async def test_wrong_annotations_are_told_and_ignored(client: Client) -> None:
    async with running_fleet(client):
        await client.create(pod("odd", run="soon"))
        await reached(client, "odd", is_ready)
        await eventually(lambda: _has_event(client, "InvalidBehavior"))


async def _has_event(client: Client, reason: str) -> bool:
    return any(event.reason == reason for event in (await client.list(core.Event, "default")).items)


async def test_addresses_of_pods_that_ended_are_free_again(client: Client) -> None:
    async with running_fleet(client, HollowSettings(count=1)):
        await eventually(lambda: _all_there(client, 1))
        body = {"spec": {"podCIDR": "10.9.0.0/30", "podCIDRs": ["10.9.0.0/30"]}}
        await client.patch(core.Node, "hollow-0", body=body, kind="merge")
        await client.clock.sleep(1.0)
        held = pod("ends", policy="Never", run="2s")
        held.metadata.finalizers = ["example.com/hold"]
        await client.create(held)
        ended = await reached(client, "ends", lambda pod: pod.status.phase == "Succeeded")
        await client.create(pod("stays"))
        await client.create(pod("next"))
        taken = {(await reached(client, name, is_ready)).status.podIP for name in ("stays", "next")}
        assert taken == {"10.9.0.1", "10.9.0.2"}
        assert ended.status.podIP in taken
        await client.create(pod("late"))
        await eventually(lambda: _has_event(client, "FailedCreatePodSandBox"))
        await client.delete(core.Pod, "ends", "default")
        await client.clock.sleep(30.0)
        await client.patch(core.Pod, "ends", "default", body={"metadata": {"finalizers": None}}, kind="merge")
        await eventually(lambda: _is_gone(client, "ends"))
        await client.clock.sleep(30.0)
        assert (await client.get(core.Pod, "late", "default")).status.podIP == "", "what ended had no address to give back"
        await client.delete(core.Pod, "stays", "default")
        assert (await reached(client, "late", is_ready)).status.podIP in taken


async def test_nodes_show_the_driver_of_local_volumes(client: Client) -> None:
    async def shown(owner: str) -> bool:
        node = await client.get(storage.CSINode, "hollow-1")
        (driver,) = node.spec.drivers or []
        assert (driver.name, driver.nodeID, driver.topologyKeys) == (LOCAL_PATH_DRIVER, "hollow-1", [HOSTNAME])
        return [reference.uid for reference in node.metadata.ownerReferences] == [owner]

    async def registered(previous: str = "") -> str:
        try:
            uid = (await client.get(core.Node, "hollow-1")).metadata.uid
        except NotFound:
            return ""
        return "" if uid == previous else uid

    async with running_fleet(client, HollowSettings(count=2, local_storage=True)):
        first = await eventually(registered)
        await eventually(lambda: shown(first))
        await client.delete(core.Node, "hollow-1")
        second = await eventually(lambda: registered(first))
        await eventually(lambda: shown(second))  # Although nobody has collected the CSINode of the old one.
