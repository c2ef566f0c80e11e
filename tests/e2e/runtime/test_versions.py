"""Versions of containerd that other Debian releases have: pods, commands in them, and the features that each reports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.runtime.machine import Machine, Pod, running_machine
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime.containerd import SEARCH_PATH
from tiphys.node.runtime.features import read_features
from tools.runtimes import Unavailable, fetch


@pytest.fixture(scope="module", params=["trixie", "sid"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    try:
        programs = fetch(request.param)
    except Unavailable as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(programs), prepend=os.pathsep)  # ctr must fit containerd.
        with running_machine(Machine.new(f"{programs}:{SEARCH_PATH}")) as running:
            yield running


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory with a mount in it that can be written to."""
    inner = tmp_path / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", inner], check=True)
    yield tmp_path
    subprocess.run(["umount", inner], check=True)


async def test_runs_pods_and_commands(machine: Machine) -> None:
    async with CriClient(machine.supervisor.socket_path) as cri:
        pod = await Pod(cri, machine, "web").run()
        container = await pod.start("main", command=["sleep", "1000"])
        assert await pod.output(container, ["hostname"]) == "web\n"
        assert pod.ip in await pod.output(container, ["ip", "addr"])
        await pod.remove()


async def test_mounts_are_read_only_all_the_way_down_where_it_is_reported(machine: Machine, mounted: Path) -> None:
    async with CriClient(machine.supervisor.socket_path) as cri:
        version = (await cri.version()).runtime_version
        features = read_features(await cri.status()).of("")
        assert features.recursive_read_only == (not version.startswith("1."))
        pod = await Pod(cri, machine, "mounts").run()
        mounts = [
            pb.Mount(container_path=f"/{name}", host_path=str(mounted), readonly=True, recursive_read_only=recursive)
            for name, recursive in {"plain": False, "deep": features.recursive_read_only}.items()
        ]
        container = await pod.start("main", command=["sleep", "1000"], more_mounts=mounts)
        writable = [(await cri.exec_sync(container, ["touch", f"/{name}/inner/x"])).exit_code == 0 for name in ("plain", "deep")]
        assert writable == [True, not features.recursive_read_only]
        await pod.remove()
