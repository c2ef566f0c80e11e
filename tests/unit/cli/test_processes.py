"""The keeper: starts again what dies, with growing delays, and writes down what it saw."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tiphys.cli.processes import KEEPER
from tiphys.daemon.process_state import ProcessState, read_state
from tiphys.testing.cluster import wait_for

NOTHING = ProcessState(0, 0, 0, None, 0, Path())


class Keeper:
    """A keeper over a shell script, with a `sleep` that notes how long it should have taken."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "bin").mkdir()
        self._program("sleep", 'echo "$1" >> "$DELAYS"')
        self.delays = directory / "delays"
        self.delays.touch()

    def _program(self, name: str, text: str) -> Path:
        path = self.directory / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def start(self, script: str) -> subprocess.Popen[str]:
        daemon = self._program("daemon", script)
        env = {
            **os.environ,
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "PIDFILE": str(self.directory / "server.pid"),
            "STATEFILE": str(self.directory / "server.state"),
            "LOGFILE": "/log/server.log",
            "DELAYS": str(self.delays),
            "RUNS": str(self.directory / "runs"),
        }
        return subprocess.Popen(["/bin/sh", "-c", KEEPER, "keeper", str(daemon)], env=env, stdout=subprocess.PIPE, text=True)

    def state(self) -> ProcessState:
        state = read_state(self.directory, "server")
        assert state is not None
        return state


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path)


COUNT = 'echo x >> "$RUNS"; runs=$(wc -l < "$RUNS")'


def test_delays_grow_while_runs_are_short(keeper: Keeper) -> None:
    process = keeper.start(f'{COUNT}; [ "$runs" -gt 6 ] || exit 3')
    said, _ = process.communicate(timeout=60)
    assert keeper.delays.read_text().split() == ["0.2", "0.5", "1", "2", "5", "5"]
    assert said.splitlines()[0] == "tiphys-keeper: exited with code 3, restarting in 0.2 s"
    state = keeper.state()
    assert (state.pid, state.restarts, state.last_exit, str(state.log)) == (0, 6, 0, "/log/server.log")
    assert not (keeper.directory / "server.pid").exists()


def test_a_killed_daemon_is_started_again(keeper: Keeper) -> None:
    before = int(time.time())
    process = keeper.start(f'{COUNT}; [ "$runs" -gt 1 ] || kill -KILL $$')
    process.communicate(timeout=60)
    state = keeper.state()
    assert (state.restarts, state.last_exit) == (1, 0)
    assert before <= state.started <= state.last_ended <= time.time()


def test_a_start_that_can_never_succeed_is_not_repeated(keeper: Keeper) -> None:
    process = keeper.start("exit 78")
    process.communicate(timeout=60)
    assert keeper.delays.read_text() == ""
    assert (keeper.state().restarts, keeper.state().last_exit) == (0, 78)


def test_a_daemon_that_has_run_comes_back_although_a_start_in_between_fails(keeper: Keeper) -> None:
    process = keeper.start(f"{COUNT}; case $runs in 1) kill -KILL $$;; 2) exit 78;; esac")
    process.communicate(timeout=60)
    assert (keeper.state().restarts, keeper.state().last_exit) == (2, 0)


def test_a_signal_ends_the_daemon_and_the_keeper(keeper: Keeper) -> None:
    process = keeper.start("trap 'kill $!; exit 5' TERM; echo up; /bin/sleep 60 & wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    wait_for(lambda: (read_state(keeper.directory, "server") or NOTHING).pid)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (keeper.state().pid, keeper.state().last_exit, keeper.state().restarts) == (0, 5, 0)


@pytest.mark.parametrize("text", ["", "pid=1\n", "pid=x\nstarted=1\nrestarts=0\nlast_exit=\nlast_ended=\nlog=/l\n"])
def test_a_damaged_state_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.state").write_text(text)
    assert read_state(tmp_path, "server") is None
    assert read_state(tmp_path, "node") is None
