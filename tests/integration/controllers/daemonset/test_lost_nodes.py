"""DaemonSets and lost nodes, in virtual time with all control loops and the scheduler."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.daemonset.daemons import daemon_set
from tests.integration.controllers.test_virtual_time import HOUR, beat, places, run_pod, running_cluster
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apps import v1 as apps
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.testing import eventually

pytestmark = pytest.mark.looptime


async def counts_are(cluster: Cluster, *, desired: int, available: int, updated: int, misplaced: int = 0) -> bool:
    status = (await cluster.client.get(apps.DaemonSet, "web", "default")).status
    assert (status.desiredNumberScheduled, status.numberAvailable) == (desired, available)
    assert (status.updatedNumberScheduled, status.numberMisscheduled) == (updated, misplaced)
    return True


async def test_a_daemon_stays_on_a_node_that_is_lost(tmp_path: Path) -> None:
    lost: set[str] = set()
    async with running_cluster(tmp_path, lost) as (cluster, tasks):
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(daemon_set())
        await eventually(lambda: counts_are(cluster, desired=2, available=2, updated=2))
        before = await places(cluster)
        lost.add("a")
        await cancel_and_wait(tasks["a"])
        await cluster.client.clock.sleep(HOUR)
        # It tolerates that for good. No new pod would come to the node meanwhile, so it counts as out of place, as upstream has it.
        assert await places(cluster) == before
        assert await counts_are(cluster, desired=1, available=1, updated=1, misplaced=1)
        lost.clear()
        back = asyncio.create_task(beat_on(cluster, "a"))
        try:
            await cluster.report(await cluster.client.get(core.Node, "a"))
            for pod in await cluster.pods():
                await cluster.make_ready(pod)
            await eventually(lambda: counts_are(cluster, desired=2, available=2, updated=2))
            assert await places(cluster) == before
        finally:
            await cancel_and_wait(back)


async def beat_on(cluster: Cluster, name: str) -> None:
    """Renew the Lease of a node that had one before."""
    await cluster.client.delete(coordination.Lease, name, "kube-node-lease")
    await beat(cluster, name)


async def test_a_rolling_update_goes_on_without_a_lost_node(tmp_path: Path) -> None:
    lost: set[str] = set()
    async with running_cluster(tmp_path, lost) as (cluster, tasks):
        await eventually(lambda: cluster.has_account("default"))
        await cluster.client.create(daemon_set())
        await eventually(lambda: counts_are(cluster, desired=2, available=2, updated=2))
        lost.add("a")
        await cancel_and_wait(tasks["a"])
        await cluster.client.clock.sleep(HOUR)
        body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}}}
        await cluster.client.patch(apps.DaemonSet, "web", "default", body=body, kind="strategic")
        # The old pod on the lost node is on its way out for as long as its kubelet does not answer.
        await eventually(lambda: counts_are(cluster, desired=1, available=1, updated=1, misplaced=1))
        lost.clear()
        for pod in await cluster.pods():
            await run_pod(cluster, pod)
        back = asyncio.create_task(beat_on(cluster, "a"))
        try:
            await cluster.report(await cluster.client.get(core.Node, "a"))
            await eventually(lambda: counts_are(cluster, desired=2, available=2, updated=2))
            assert {pod.spec.containers[0].image for pod in await cluster.pods()} == {"busybox:2"}
        finally:
            await cancel_and_wait(back)
