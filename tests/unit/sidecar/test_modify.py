"""The loop that changes the attributes of volumes, against the real API server."""

from __future__ import annotations

from functools import partial

import pytest

from tests.unit.sidecar.driver import NAME, ScriptedDriver, facts, pending
from tests.unit.sidecar.make import VOLUME, bound_claim, volume
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import VolumeAttributesClass
from tiphys.csi.errors import InvalidArgument
from tiphys.sidecar.resize.modify import ModifyController
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.loops import run_loops, running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def loop(driver: ScriptedDriver) -> partial[ModifyController]:
    return partial(ModifyController, driver, facts(), ProvisionSettings())


def attributes(name: str = "gold", driver: str = NAME) -> VolumeAttributesClass:
    return VolumeAttributesClass(metadata=ObjectMeta(name=name), driverName=driver, parameters={"tier": name})


def status(api: MemoryApi) -> core.PersistentVolumeClaimStatus:
    return api.get(core.PersistentVolumeClaim, "data", "default").status


def is_modified(api: MemoryApi) -> bool:
    of_volume = api.get(core.PersistentVolume, VOLUME).spec.volumeAttributesClassName
    return (status(api).currentVolumeAttributesClassName, of_volume, status(api).modifyVolumeStatus) == ("gold", "gold", None)


def going(api: MemoryApi) -> str:
    state = status(api).modifyVolumeStatus
    return state.status if state is not None else ""


async def test_changes_attributes(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.fail("ControllerModifyVolume", pending(), times=3)
    api.add(attributes(), volume(), bound_claim(volumeAttributesClassName="gold"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: is_modified(api))
    assert driver.modified == {f"id-{VOLUME}": {"tier": "gold"}}
    assert status(api).conditions == []


async def test_waits_for_the_class(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(volume(), bound_claim(volumeAttributesClassName="gold"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: going(api) == "Pending")
        assert driver.calls == []
        await api.client().create(attributes())
        await eventually(lambda: is_modified(api))


async def test_an_infeasible_change_may_be_replaced(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.fail("ControllerModifyVolume", InvalidArgument("no such tier"))
    api.add(attributes(), attributes("lead"), volume(), bound_claim(volumeAttributesClassName="lead"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: going(api) == "Infeasible")
        assert [one.type for one in status(api).conditions] == ["ModifyVolumeError"]
        body = {"spec": {"volumeAttributesClassName": "gold"}}
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body=body)
        await eventually(lambda: is_modified(api))


async def test_a_change_under_way_is_finished_first(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    driver.fail("ControllerModifyVolume", pending(), times=8)
    api.add(attributes(), attributes("lead"), volume(), bound_claim(volumeAttributesClassName="lead"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: going(api) == "InProgress")
        body = {"spec": {"volumeAttributesClassName": "gold"}}
        await api.client().patch(core.PersistentVolumeClaim, "data", "default", body=body)
        await eventually(lambda: is_modified(api))
    tiers = [one.mutable_parameters["tier"] for one in driver.of("ControllerModifyVolume")]
    assert tiers == ["lead"] * 9 + ["gold"]


async def test_a_class_of_another_driver(api: MemoryApi) -> None:
    driver = ScriptedDriver()
    api.add(attributes(driver="other"), volume(), bound_claim(volumeAttributesClassName="gold"))
    async with running_loops(api.client(), loop(driver)):
        await eventually(lambda: going(api) == "Infeasible")
    assert driver.calls == []


async def test_a_crash_between_any_two_writes() -> None:
    driver = ScriptedDriver()

    async def prepare(api: MemoryApi) -> None:
        api.add(attributes(), volume(), bound_claim(volumeAttributesClassName="gold"))

    crashes = await crash_between_writes(prepare=prepare, run=lambda client: run_loops(client, loop(driver)), check=is_modified)
    assert crashes >= 2
