"""A process of the driver is killed before each of its system calls: nothing is lost, leaked or used twice, and the next one goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.node.local_path import killed
from tests.integration.node.local_path.scratch import needs_loop_devices
from tiphys.node.local_path import programs

pytestmark = needs_loop_devices


@pytest.mark.parametrize(
    "kind",
    ["ext4", pytest.param("xfs", marks=pytest.mark.skipif(programs.find("mkfs.xfs") is None, reason="xfsprogs is not installed")), "block"],
)
def test_killed_before_every_call(place: Path, kind: str) -> None:
    done = subprocess.run([sys.executable, killed.__file__, str(place), kind], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    deaths = {line["step"]: line["killed"] for line in map(json.loads, done.stdout.splitlines())}
    assert list(deaths) == ["create", "use", "grow", "end", "grow_unused", "use_grown", "remove"]
    assert all(count >= 4 for count in deaths.values()), deaths
