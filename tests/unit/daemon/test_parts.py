"""The processes that a node shows, read from what keepers and the containerd supervisor leave in the run directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tiphys.daemon.parts import parts
from tiphys.daemon.settings import ClusterSettings
from tiphys.node.mirror.part import Run
from tiphys.node.runtime.containerd import ContainerdSupervisor

DEAD = 1 << 22
"""A process id beyond the kernel's largest."""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run directory of a cluster that is not root's, which is below the data directory."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    directory = ClusterSettings(data_dir=str(tmp_path)).run_dir
    assert directory.parent == tmp_path
    directory.mkdir()
    return directory


def runs(run_dir: Path) -> dict[str, Run | None]:
    """Read the present state of each part."""
    settings = ClusterSettings(data_dir=str(run_dir.parent))
    containerd = ContainerdSupervisor(settings.containerd_dir, settings.run_dir)
    return {part.name: part.read() for part in parts(settings, containerd, started=1000)}


def note(run_dir: Path, name: str, pid: int | str, *, restarts: int = 0) -> None:
    state = f"pid={pid}\nstarted=900\nrestarts={restarts}\nlast_exit=137\nlast_ended=899\nlog=/log/{name}.log\n"
    (run_dir / f"{name}.state").write_text(state)


def test_a_node_alone_shows_itself_only(run_dir: Path) -> None:
    found = runs(run_dir)
    assert (found["tiphys-server"], found["containerd"]) == (None, None)
    own = found["tiphys-node"]
    assert own is not None
    assert (own.pid, own.started, own.restarts, own.log) == (os.getpid(), 1000, 0, None)


def test_a_keepers_state_is_shown(run_dir: Path) -> None:
    note(run_dir, "server", 77, restarts=2)
    note(run_dir, "node", os.getpid(), restarts=1)
    found = runs(run_dir)
    server, node = found["tiphys-server"], found["tiphys-node"]
    assert server is not None
    assert node is not None
    assert (server.pid, server.restarts, server.last_exit, server.log) == (77, 2, 137, Path("/log/server.log"))
    assert (node.pid, node.restarts, node.log) == (os.getpid(), 1, Path("/log/node.log"))


def test_the_state_of_a_keeper_that_is_gone_is_not(run_dir: Path) -> None:
    note(run_dir, "server", "")
    note(run_dir, "node", DEAD, restarts=3)
    found = runs(run_dir)
    assert found["tiphys-server"] is None
    node = found["tiphys-node"]
    assert node is not None
    assert (node.pid, node.restarts) == (os.getpid(), 0)
    # While the keeper lives, a server without a process is one between two runs.
    (run_dir / "server.pid.keeper").write_text("1\n")
    server = runs(run_dir)["tiphys-server"]
    assert server is not None
    assert server.pid == 0


def test_containerd_is_down_while_its_process_is_gone(run_dir: Path) -> None:
    pid_file = run_dir / "containerd.pid"
    for pid, shown in ((os.getpid(), os.getpid()), (DEAD, 0)):
        pid_file.write_text(json.dumps({"pid": pid, "started": 900, "restarts": 1, "last_ended": 899}))
        run = runs(run_dir)["containerd"]
        assert run is not None
        assert (run.pid, run.started, run.restarts, run.last_exit, run.last_ended) == (shown, 900, 1, None, 899)
    pid_file.write_text("damaged")
    assert runs(run_dir)["containerd"] is None
