"""The tests' own machine leaves nothing behind, even when its process is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.network.machine import PREFIX, RUN, remove_leftovers


def test_namespaces_of_killed_runs_are_removed() -> None:
    script = "import os, signal; from tests.e2e.network.machine import Machine; Machine(); os.kill(os.getpid(), signal.SIGKILL)"
    with subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3]) as killed:
        pass
    own = f"{PREFIX}{killed.pid}-"
    assert [path.name for path in RUN.glob(f"{own}*")]
    remove_leftovers()
    assert not [path.name for path in RUN.glob(f"{own}*")]
