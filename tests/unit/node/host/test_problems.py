"""Problems of the machine: its clock, its file system, processes that the kernel kills."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.node.make import MOMENT
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination import v1 as coordination
from tiphys.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from tiphys.node.host.oom import KILLS, OomKill, OomWatch, concerns_system, parse_kill
from tiphys.node.host.problems import clock_problem, read_only
from tiphys.testing.eventually import eventually


def lease(*seconds: float) -> coordination.Lease:
    entries = [ManagedFieldsEntry(manager=str(second), time=MOMENT + timedelta(seconds=second)) for second in seconds]
    return coordination.Lease(metadata=ObjectMeta(managedFields=entries))


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (0, ""),
        (10, ""),
        (-9, ""),
        (62, "clock of the node is 60 s behind the API server's"),
        (-61, "clock of the node is 60 s ahead of the API server's"),
    ],
)
def test_the_clock_is_compared_with_the_newest_time_of_the_server(server: int, message: str) -> None:
    assert clock_problem(lease(-1000, server), MOMENT, MOMENT + timedelta(seconds=2)) == message


def test_a_server_that_notes_no_times_leaves_the_clock_unjudged() -> None:
    assert clock_problem(coordination.Lease(), MOMENT, MOMENT) == ""


def test_a_file_system_that_can_be_written_or_is_not_there_is_no_problem(tmp_path: Path) -> None:
    assert read_only(tmp_path) == ""
    assert read_only(tmp_path / "gone") == ""


POD = "/kubepods/burstable/podu1/c1"
HEAD = "oom-kill:constraint=CONSTRAINT_{},nodemask=(null),cpuset=c1,mems_allowed=0"
LIMITED = f"{HEAD.format('MEMCG')},oom_memcg={POD},task_memcg={POD},task=a,b c,pid=7,uid=0"
GLOBAL = f"{HEAD.format('NONE')},global_oom,task_memcg=/user.slice,task=stress,pid=8,uid=1000"
DAEMON = LIMITED.replace(POD, "/system.slice/db.service")


def test_lines_of_the_kernels_log() -> None:
    limited, everywhere = parse_kill(f"6,100,200,-;{LIMITED}"), parse_kill(GLOBAL)
    assert limited == OomKill("a,b c", 7, POD, POD)
    assert everywhere == OomKill("stress", 8, "/user.slice")
    assert parse_kill("6,1,2,-;eth0: link up") is None
    assert parse_kill("oom-kill:nonsense") is None


def test_a_pod_beyond_its_own_limit_is_no_problem_of_the_machine() -> None:
    kills = [parse_kill(line) for line in (LIMITED, GLOBAL, DAEMON, GLOBAL.replace("/user.slice", POD))]
    assert [kill is not None and concerns_system(kill, "/kubepods") for kill in kills] == [False, True, True, True]
    nested = parse_kill(LIMITED.replace("/kubepods", "/outer/kubepods"))
    assert nested is not None
    assert not concerns_system(nested, "/kubepods")


async def test_kills_are_counted_and_told(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    told: list[OomKill] = []
    before = KILLS.labels("pod").value, KILLS.labels("system").value
    watch = OomWatch("/kubepods", told.append, path=path)
    task = asyncio.create_task(watch.run())
    try:
        await watch.watching.wait()
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(writer, f"6,1,2,-;{LIMITED}\n SUBSYSTEM=x\n6,2,3,-;{DAEMON}\n".encode())
            await eventually(lambda: [kill.group for kill in told] == ["/system.slice/db.service"])
        finally:
            await cancel_and_wait(task)
            os.close(writer)
    finally:
        await cancel_and_wait(task)
    assert (KILLS.labels("pod").value - before[0], KILLS.labels("system").value - before[1]) == (1, 1)


async def test_a_log_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    await OomWatch("/kubepods", lambda kill: None, path=tmp_path / "none").run()
