"""The guards of tests/guards.py find what they are there for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SUITE = """
import asyncio, os, socket, time

async def test_sound():
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    task = asyncio.create_task(asyncio.to_thread(time.sleep, 0))
    await task

async def test_leaves_a_task():
    global task
    task = asyncio.create_task(asyncio.sleep(3600), name="forgotten")

def test_leaves_a_file():
    os.open("/dev/null", os.O_RDONLY)

async def test_blocks():
    time.sleep(0)

async def test_blocks_and_hides_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.001)
        try:
            server.accept()
        except TimeoutError:
            pass
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the suite above and return its output."""
    path = tmp_path_factory.mktemp("guarded") / "test_suite.py"
    path.write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.guards", "-p", "no:cacheprovider", "--asyncio-mode=auto", "--color=no", "-rA"]
    done = subprocess.run([*command, str(path), f"--rootdir={path.parent}"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test_leaves_a_task", "tasks that nobody ended: .*forgotten"),
        ("test_leaves_a_file", "files that nobody closed: .*/dev/null"),
        ("test_blocks", "calls that block the event loop:\n.*time.sleep, called from"),
        ("test_blocks_and_hides_it", "calls that block the event loop:\n.*socket.accept, called from"),
    ],
)
def test_finds(output: str, name: str, message: str) -> None:
    _, _, report = output.partition(f"ERROR at teardown of {name} _")
    assert re.search(message, report.partition("_ ERROR at")[0]), output


def test_leaves_sound_tests_alone(output: str) -> None:
    assert "5 passed, 4 errors" in output
    assert "at teardown of test_sound" not in output
