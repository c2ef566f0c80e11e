"""One driver as the kubelet calls it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.node.csi.scripted import NAME, ScriptedDriver, hang, refuse
from tiphys.csi.errors import CsiError, Deadline, Failed, Unavailable
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi.allocatable import next_due
from tiphys.node.csi.metrics import OPERATIONS
from tiphys.node.csi.service import DriverService, is_final
from tiphys.testing.eventually import eventually


class Closing(ScriptedDriver):
    closed = 0

    async def close(self) -> None:
        self.closed += 1


async def info(service: DriverService) -> pb.NodeGetInfoResponse:
    return await service.call("NodeGetInfo", pb.NodeGetInfoRequest(), pb.NodeGetInfoResponse)


async def test_counts_calls_by_their_results() -> None:
    driver = ScriptedDriver()
    service = DriverService("counted.example", driver)
    driver.next("NodeGetInfo", refuse(Unavailable("gone")))
    with pytest.raises(Unavailable):
        await info(service)
    await info(service)
    counted = [line for line in OPERATIONS.lines() if "_count{" in line and "counted.example" in line]
    name = 'csi_operations_seconds_count{driver_name="counted.example",method_name="/csi.v1.Node/NodeGetInfo"'
    assert sorted(counted) == [
        f'{name},grpc_status_code="OK",migrated="false"}} 1',
        f'{name},grpc_status_code="Unavailable",migrated="false"}} 1',
    ]


async def test_a_driver_that_is_replaced_is_closed_after_its_last_call() -> None:
    driver = Closing()
    service = DriverService(NAME, driver)
    release = asyncio.Event()

    async def wait(work: Any) -> Any:
        await release.wait()
        return work()

    driver.next("NodeGetInfo", wait)
    call = asyncio.create_task(info(service))
    await eventually(lambda: driver.asked("NodeGetInfo"))
    await service.retire()
    assert driver.closed == 0
    release.set()
    assert (await call).node_id == "node-1"
    assert driver.closed == 1


async def test_drivers_of_this_process_have_a_deadline_too() -> None:
    driver = ScriptedDriver()
    driver.next("NodeGetInfo", hang)
    with pytest.raises(Deadline, match="context deadline exceeded"):
        await info(DriverService(NAME, driver, timeout=0.01))


async def test_an_error_of_the_program_says_nothing_about_the_volume() -> None:
    async def fail(work: Any) -> Any:
        raise ValueError("oh no")

    driver = ScriptedDriver()
    driver.next("NodeGetInfo", fail)
    with pytest.raises(CsiError, match="ValueError: oh no") as caught:
        await info(DriverService(NAME, driver))
    assert not is_final(caught.value)
    assert is_final(Failed("no"))


def test_periods_begin_anew_when_they_change() -> None:
    due = next_due({}, {"a": 10, "b": 20}, 100.0)
    assert due == {"a": (10, 110.0), "b": (20, 120.0)}
    assert next_due(due, {"a": 10, "b": 5}, 105.0) == {"a": (10, 110.0), "b": (5, 110.0)}
    assert next_due(due, {"b": 20}, 105.0) == {"b": (20, 120.0)}
