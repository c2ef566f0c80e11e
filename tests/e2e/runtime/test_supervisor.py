"""The supervisor of our containerd: starting, adopting, surviving."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.runtime.conftest import RunPod
from tests.e2e.runtime.machine import Machine
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime import procs
from tiphys.node.runtime.containerd import ContainerdError, ContainerdSupervisor
from tiphys.testing.eventually import eventually


async def test_another_supervisor_adopts_the_running_containerd(machine: Machine) -> None:
    other = machine.new_supervisor()
    await other.start()
    assert other.adopted
    assert other.pid == machine.supervisor.pid


async def test_a_lost_pid_file_does_not_lose_containerd(machine: Machine) -> None:
    machine.supervisor.pid_path.unlink()
    other = machine.new_supervisor()
    await other.start()
    assert other.pid == machine.supervisor.pid
    assert json.loads(other.pid_path.read_text())["pid"] == other.pid


async def test_a_pid_file_that_names_a_stranger_is_not_believed(machine: Machine) -> None:
    machine.supervisor.pid_path.write_text(json.dumps({"pid": os.getpid()}))
    assert machine.new_supervisor().find() == machine.supervisor.pid
    await machine.new_supervisor().start()


async def test_killed_containerd_comes_back_and_containers_never_notice(machine: Machine, cri: CriClient, run_pod: RunPod) -> None:
    supervisor = machine.new_supervisor()
    await supervisor.start()
    before, first = supervisor.pid, supervisor.read_run()
    assert before is not None
    assert first is not None
    pod = await run_pod("survivor")
    container = await pod.start("main", command=["sleep", "1000"])
    task = asyncio.create_task(supervisor.supervise())
    try:
        os.kill(before, signal.SIGKILL)

        async def running_again() -> bool:
            try:
                status = (await cri.container_status(container)).status
            except CriError:
                return False
            return supervisor.pid not in (None, before) and status.state == pb.CONTAINER_RUNNING

        await eventually(running_again)
        assert (await pod.output(container, ["cat", "/proc/1/comm"])).strip() == "sleep"
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await machine.supervisor.start()
    assert machine.supervisor.pid == supervisor.pid
    run = machine.supervisor.read_run()
    assert run is not None
    assert (run.pid, run.restarts) == (supervisor.pid, first.restarts + 1)
    assert run.started >= run.last_ended > 0


async def test_a_containerd_that_ends_while_it_is_adopted_is_replaced(machine: Machine) -> None:
    supervisor = machine.new_supervisor()
    before = supervisor.find()
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    starting = asyncio.create_task(supervisor.start())
    await eventually(lambda: supervisor.pid == before)
    os.kill(before, signal.SIGKILL)
    await starting
    assert not supervisor.adopted
    assert supervisor.pid == supervisor.find() != before


async def test_containerd_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    machine = Machine.new()
    code = f"""
import asyncio, os, signal
from pathlib import Path
from tests.e2e.runtime.machine import Machine
asyncio.run(Machine(Path({str(machine.directory)!r})).start())
os.kill(os.getpid(), signal.SIGKILL)
"""
    try:
        starter = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)
        assert starter.returncode == -signal.SIGKILL
        await machine.supervisor.start()
        assert machine.supervisor.adopted
        assert machine.supervisor.pid is not None
        assert os.getsid(machine.supervisor.pid) == machine.supervisor.pid
    finally:
        assert await machine.purge() == []
        machine.remove()


async def test_another_configuration_replaces_containerd_but_not_the_containers(machine: Machine, run_pod: RunPod) -> None:
    pod = await run_pod("kept")
    container = await pod.start("main", command=["sleep", "1000"])
    before = machine.supervisor.pid
    supervisor = machine.supervisor
    chatty = ContainerdSupervisor(supervisor.state_dir, supervisor.run_dir, log_level="info")
    await chatty.start()
    assert (chatty.adopted, chatty.pid == before) == (False, False)
    async with CriClient(chatty.socket_path) as cri:
        assert (await cri.container_status(container)).status.state == pb.CONTAINER_RUNNING
    await supervisor.start()
    assert procs.is_alive(supervisor.pid or 0)


async def test_a_missing_containerd_is_one_sentence_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(ContainerdError, match="containerd is not installed; install it with: apt-get install"):
        await ContainerdSupervisor(tmp_path / "state", tmp_path / "run", search_path=str(tmp_path)).start()


async def test_a_containerd_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    supervisor = ContainerdSupervisor(tmp_path / "state", tmp_path / "run")
    database = supervisor.root / "io.containerd.metadata.v1.bolt" / "meta.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"this is no database" * 1000)
    with pytest.raises(ContainerdError, match=r"(?s)containerd\.log.*"):
        await supervisor.start(timeout=10)
    assert supervisor.find() is None
    assert await supervisor.purge() == []


async def test_a_socket_path_longer_than_the_kernel_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContainerdError, match="too long"):
        await ContainerdSupervisor(tmp_path / "state", tmp_path / ("run" * 40)).start()
