"""Scenarios of `tests/scenarios`, in virtual time. `pytest --rewrite` writes the trace as it is: read the difference before it is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.scenarios.actors import ACTORS
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.cronjob.settings import CronJobSettings
from tiphys.controllers.settings import ControllerSettings
from tiphys.testing.scenario import play

# With everything in one process, nothing needs idle rounds of the event loop before time moves on.
pytestmark = pytest.mark.looptime(noop_cycles=0)

# Autoscalers look once a minute rather than every 15 seconds, for a day takes long enough.
SETTINGS = ControllerSettings(CronJobSettings(time_zone="UTC"), AutoscalingSettings(sync_period=60.0))
SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
async def test_scenario(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expected = await asyncio.to_thread(path.read_text)
    played = await play(expected, tmp_path, ACTORS, settings=SETTINGS)
    if request.config.getoption("--rewrite"):
        await asyncio.to_thread(path.write_text, played)
    else:
        assert played == expected
