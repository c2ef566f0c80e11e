"""The loop that grows volumes, against the real API server."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.unit.sidecar.driver import GI, ScriptedDriver, facts, pending
from tests.unit.sidecar.make import VOLUME, bound_claim, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.csi.errors import Failed, OutOfRange
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar.resize.controller import ResizeController
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.topology import affinity_of
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

HANDLE = f"id-{VOLUME}"


def loop(driver: ScriptedDriver, *without: str, expansion: str = "", node: str = "") -> partial[ResizeController]:
    return partial(ResizeController, driver, facts(*without, expansion=expansion), ProvisionSettings(node=node))


def add_objects(api: MemoryApi, size: str = "3Gi", *, node_expansion: bool = False, zone: str = "") -> ScriptedDriver:
    driver = ScriptedDriver(node_expansion=node_expansion)
    driver.volumes[HANDLE] = pb.Volume(volume_id=HANDLE, capacity_bytes=GI)
    affinity = affinity_of([pb.Topology(segments={"zone": zone})]) if zone else None
    api.add(storage_class(), volume(nodeAffinity=affinity), bound_claim(size))
    return driver


def status(api: MemoryApi) -> core.PersistentVolumeClaimStatus:
    return api.get(core.PersistentVolumeClaim, "data", "default").status


def conditions(api: MemoryApi) -> dict[str, str]:
    return {one.type: one.message for one in status(api).conditions}


def is_grown(api: MemoryApi) -> bool:
    size = api.get(core.PersistentVolume, VOLUME).spec.capacity["storage"]
    return (status(api).capacity, size) == ({"storage": "3Gi"}, "3Gi")


def reasons(api: MemoryApi) -> set[str]:
    return {one.reason for one in api.list(core.Event)}


async def test_grows_a_volume(api: MemoryApi) -> None:
    driver = add_objects(api)
    async with running_loops(api.client(), loop(driver)) as manager:
        await eventually(lambda: is_grown(api))
        await manager.loops[0].ctx.recorder.flush()
    assert (status(api).conditions, status(api).allocatedResourceStatuses) == ([], {})
    assert status(api).allocatedResources == {"storage": "3Gi"}
    assert driver.volumes[HANDLE].capacity_bytes == 3 * GI
    assert reasons(api) == {"Resizing", "VolumeResizeSuccessful"}


async def test_leaves_the_file_system_to_the_kubelet(api: MemoryApi) -> None:
    driver = add_objects(api, node_expansion=True)
    async with running_loops(api.client(), loop(driver)) as manager:
        await eventually(lambda: status(api).allocatedResourceStatuses == {"storage": "NodeResizePending"})
        await manager.loops[0].ctx.recorder.flush()
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body={"metadata": {"labels": {"again": "yes"}}})
    message = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
    assert conditions(api) == {"FileSystemResizePending": message}
    assert status(api).capacity == {"storage": "1Gi"}
    assert api.get(core.PersistentVolume, VOLUME).spec.capacity == {"storage": "3Gi"}
    assert len(driver.of("ControllerExpandVolume")) == 1
    assert "FileSystemResizeRequired" in reasons(api)


async def test_a_driver_that_grows_volumes_on_nodes_alone(api: MemoryApi) -> None:
    driver = add_objects(api)
    async with running_loops(api.client(), loop(driver, "EXPAND_VOLUME", expansion="ONLINE")):
        await eventually(lambda: status(api).allocatedResourceStatuses == {"storage": "NodeResizePending"})
    assert driver.calls == []


@pytest.mark.parametrize(("zone", "grows"), [("a", True), ("b", False), ("", False)])
async def test_a_node_grows_only_volumes_that_it_can_reach(api: MemoryApi, zone: str, grows: bool) -> None:
    driver = add_objects(api, zone=zone)
    api.add(core.Node(metadata=ObjectMeta(name="n1", labels={"zone": "a"})))
    async with running_loops(api.client(), loop(driver, node="n1")):
        await asyncio.sleep(60)
    assert is_grown(api) == bool(driver.calls) == grows


async def test_an_error_is_shown_and_passes(api: MemoryApi) -> None:
    driver = add_objects(api)
    driver.fail("ControllerExpandVolume", Failed("broken"), times=5)
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: "ControllerResizeError" in conditions(api))
        assert "rpc error: code = Internal desc = broken" in conditions(api)["ControllerResizeError"]
        assert status(api).allocatedResourceStatuses == {"storage": "ControllerResizeInProgress"}
        await eventually(lambda: is_grown(api))
        assert conditions(api) == {}


async def test_a_claim_may_ask_for_less_after_what_can_never_be(api: MemoryApi) -> None:
    driver = add_objects(api, "90Gi")
    driver.fail("ControllerExpandVolume", OutOfRange("too large"), times=1)
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: status(api).allocatedResourceStatuses == {"storage": "ControllerResizeInfeasible"})
        body = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body=body)
        await eventually(lambda: is_grown(api))
    assert driver.volumes[HANDLE].capacity_bytes == 3 * GI


async def test_an_unfinished_expansion_goes_on_with_its_size(api: MemoryApi) -> None:
    driver = add_objects(api, "3Gi")
    driver.fail("ControllerExpandVolume", pending(), times=3)
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: is_grown(api))
    assert {one.capacity_range.required_bytes for one in driver.of("ControllerExpandVolume")} == {3 * GI}


async def test_an_unfinished_expansion_is_not_taken_back(api: MemoryApi) -> None:
    """The driver may have grown the volume already, so the claim gets what it asked for first."""
    driver = add_objects(api, "3Gi")
    driver.fail("ControllerExpandVolume", pending(), times=8)
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: status(api).allocatedResourceStatuses)
        body = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body=body)
        await eventually(lambda: is_grown(api))
    assert {one.capacity_range.required_bytes for one in driver.of("ControllerExpandVolume")} == {3 * GI}


async def test_a_lie_about_the_size_is_an_error(api: MemoryApi) -> None:
    driver = add_objects(api)
    driver.scripts["ControllerExpandVolume"] = [lambda request: pb.ControllerExpandVolumeResponse(capacity_bytes=5)] * 6
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: "ControllerResizeError" in conditions(api))
        assert status(api).capacity == {"storage": "1Gi"}
        await eventually(lambda: is_grown(api))


@pytest.mark.parametrize("node_expansion", [False, True])
async def test_a_crash_between_any_two_writes(node_expansion: bool) -> None:
    drivers: list[ScriptedDriver] = []

    async def prepare(api: MemoryApi) -> None:
        drivers.append(add_objects(api, node_expansion=node_expansion))

    def check(api: MemoryApi) -> bool:
        if node_expansion:
            size = api.get(core.PersistentVolume, VOLUME).spec.capacity["storage"]
            return (size, status(api).allocatedResourceStatuses) == ("3Gi", {"storage": "NodeResizePending"})
        return is_grown(api) and conditions(api) == {}

    assert await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, loop(drivers[-1])), check=check) >= 2
