"""kill -9 between any two steps of the whole life of a volume: each write, and each call of the driver, is the last one once."""

from __future__ import annotations

import asyncio
import random
from typing import Any, TypeVar

import pytest

from tests.unit.sidecar.driver import NAME, ScriptedDriver, facts, pending
from tests.unit.sidecar.make import VOLUME, claim, storage_class
from tests.unit.sidecar.test_snapshot import define, stored
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.api.storage.v1 import CSINode, CSINodeDriver, CSINodeSpec, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec
from tiphys.client.client import Client
from tiphys.csi.errors import Failed
from tiphys.sidecar.names import CLAIM_FINALIZER
from tiphys.sidecar.parts import parts
from tiphys.sidecar.settings import SidecarSettings
from tiphys.sidecar.snapshot.kinds import SnapshotSource, SnapshotSpec, VolumeSnapshot, VolumeSnapshotClass, with_snapshots
from tiphys.sidecar.writes import remove_finalizer
from tiphys.testing import eventually
from tiphys.testing.chances import Chances
from tiphys.testing.crashes import mortal
from tiphys.testing.faults import Faults
from tiphys.testing.loops import run_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

T = TypeVar("T", bound=KubeObject)


class MortalDriver(ScriptedDriver):
    """A driver whose `deadly`-th call is carried out and never answered: the process that made it is dead by then."""

    def __init__(self) -> None:
        super().__init__()
        self.deadly = 0
        self.died = asyncio.Event()

    async def _carry_out(self, verb: str, request: Any, act: Any) -> Any:
        answer = await super()._carry_out(verb, request, act)
        self.deadly -= 1
        if self.deadly == 0:
            self.died.set()
            await asyncio.get_running_loop().create_future()
        return answer


async def sidecar(client: Client, driver: ScriptedDriver) -> None:
    """Run all parts for the driver, with fresh state."""
    chosen = parts(driver, facts(), SidecarSettings(), namespace="default")
    await run_loops(with_snapshots(client), *((lambda loop=loop: loop) for part in chosen for loop in part.loops))


class Cluster:
    """The binder, the attach controller and the user, who makes everything, and at the end wants to be rid of it."""

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.client = with_snapshots(api.client(faults=Faults(clock=api.clock)))
        self.leaving = False

    async def prepare(self) -> None:
        await define(self.client)
        self.api.add(
            storage_class(),
            claim(),
            CSINode(metadata=ObjectMeta(name="n1"), spec=CSINodeSpec(drivers=[CSINodeDriver(name=NAME, nodeID="i-1")])),
        )
        await self.client.create(VolumeSnapshotClass(metadata=ObjectMeta(name="snaps"), driver=NAME, deletionPolicy="Delete"))

    async def run(self) -> None:
        """Do the parts of everybody else, once a second."""
        while True:
            await asyncio.sleep(1)
            try:
                await (self._leave() if self.leaving else self._use())
                await self._release()
            except (Conflict, NotFound):
                continue

    async def _use(self) -> None:
        one, there = self.api.find(core.PersistentVolumeClaim, "data", "default"), self.api.find(core.PersistentVolume, VOLUME)
        if one is None or there is None:
            return
        if not one.spec.volumeName:
            one.spec.volumeName = VOLUME
            one = await self.client.update(one)
        if one.status.phase != "Bound":
            one.status = core.PersistentVolumeClaimStatus(phase="Bound", capacity=there.spec.capacity, accessModes=["ReadWriteOnce"])
            one = await self.client.update_status(one)
            there.status.phase = "Bound"
            await self.client.update_status(there)
            await self.client.patch(
                core.PersistentVolumeClaim, "data", "default", body={"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
            )
            source = VolumeAttachmentSource(persistentVolumeName=VOLUME)
            spec = VolumeAttachmentSpec(attacher=NAME, nodeName="n1", source=source)
            await self.client.create(VolumeAttachment(metadata=ObjectMeta(name="va"), spec=spec))
            snapshot_of = SnapshotSpec(source=SnapshotSource(persistentVolumeClaimName="data"), volumeSnapshotClassName="snaps")
            await self.client.create(VolumeSnapshot(metadata=ObjectMeta(name="s", namespace="default"), spec=snapshot_of))

    async def _leave(self) -> None:
        for type_, name, namespace in (
            (VolumeSnapshot, "s", "default"),
            (VolumeAttachment, "va", ""),
            (core.PersistentVolumeClaim, "data", "default"),
        ):
            try:
                await self.client.delete(type_, name, namespace)
            except NotFound:
                continue

    async def _release(self) -> None:
        for one in self.api.list(core.PersistentVolume):
            if self.api.find(core.PersistentVolumeClaim, "data", "default") is None and one.status.phase != "Released":
                one.status.phase = "Released"
                one = await self.client.update_status(one)
            if one.metadata.deletionTimestamp is not None:
                await remove_finalizer(self.client, one, "kubernetes.io/pv-protection")

    def is_used(self, driver: ScriptedDriver) -> bool:
        """Return whether everything is there: one of each."""
        one, attachment = self.api.find(core.PersistentVolumeClaim, "data", "default"), self.api.find(VolumeAttachment, "va")
        if one is None or attachment is None or not attachment.status.attached or CLAIM_FINALIZER in one.metadata.finalizers:
            return False
        ready = [snapshot.get("status", {}).get("readyToUse") for snapshot in stored(self.api, "VolumeSnapshot")]
        sizes = (one.status.capacity, [volume.capacity_bytes >> 30 for volume in driver.volumes.values()])
        return sizes == ({"storage": "2Gi"}, [2]) and ready == [True] and len(driver.snapshots) == 1 and len(driver.attached) == 1

    def is_empty(self, driver: ScriptedDriver) -> bool:
        """Return whether nothing is left, here and there."""
        left = [
            *self.api.list(core.PersistentVolumeClaim), *self.api.list(core.PersistentVolume), *self.api.list(VolumeAttachment),
            *stored(self.api, "VolumeSnapshot"), *stored(self.api, "VolumeSnapshotContent"),
        ]  # fmt: skip
        return not left and not driver.volumes and not driver.snapshots and not driver.attached


async def live(*, writes: int, calls: int, early: bool) -> bool:
    """Go through a life with one death, after a number of writes or of calls; returns False when all was over before that.

    With `early`, the user leaves while the process is dead, else when everything is in use.
    """
    async with MemoryApi.running(clock=VirtualClock()) as api:
        cluster, driver = Cluster(api), MortalDriver()
        await cluster.prepare()
        others = asyncio.create_task(cluster.run())
        client, died = mortal(api.client(), writes=writes)
        driver.deadly, driver.died = calls, died
        process = asyncio.create_task(sidecar(client, driver))
        try:
            await eventually(lambda: died.is_set() or cluster.is_used(driver), timeout=600, interval=0.5)
            cluster.leaving = early or not died.is_set()
            if not died.is_set():
                await eventually(lambda: died.is_set() or cluster.is_empty(driver), timeout=600, interval=0.5)
            await cancel_and_wait(process)
            process = asyncio.create_task(sidecar(api.client(), driver))
            if not cluster.leaving:
                await eventually(lambda: cluster.is_used(driver), timeout=600, interval=0.5)
                cluster.leaving = True
            await eventually(lambda: cluster.is_empty(driver), timeout=3600, interval=0.5)
            return died.is_set()
        finally:
            await cancel_and_wait(process, others)


@pytest.mark.parametrize("early", [False, True])
async def test_a_death_after_any_write(early: bool) -> None:
    number = 1
    while await live(writes=number, calls=0, early=early):
        number += 1
    assert number > 20


@pytest.mark.parametrize("early", [False, True])
async def test_a_death_after_any_call_of_the_driver(early: bool) -> None:
    number = 1
    while await live(writes=10**9, calls=number, early=early):
        number += 1
    assert number > 6


@pytest.mark.parametrize("seed", range(5))
async def test_faults_by_chance(api: MemoryApi, seed: int) -> None:
    """Requests fail, answers are lost, watches break, the driver fails before and after it acts: in the end all is as it should be."""
    cluster, driver, rng = Cluster(api), MortalDriver(), random.Random(seed)
    await cluster.prepare()
    cluster.api.faults.randomly(rng, Chances(lost_answer=0.1))
    for verb in ("CreateVolume", "ControllerPublishVolume", "ControllerExpandVolume", "CreateSnapshot", "DeleteVolume", "DeleteSnapshot"):
        for _ in range(4):
            driver.fail(verb, rng.choice((pending(), Failed("by chance"))), after=rng.random() < 0.5)
    others = asyncio.create_task(cluster.run())
    process = asyncio.create_task(sidecar(api.client(), driver))
    try:
        await eventually(lambda: cluster.is_used(driver), timeout=36_000, interval=1)
        cluster.leaving = True
        await eventually(lambda: cluster.is_empty(driver), timeout=36_000, interval=1)
    finally:
        await cancel_and_wait(process, others)
