"""The scenarios of `test_http` on the loop that the server runs on in earnest: its transports behave differently in the corners."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.integration.apiserver import test_http
from tests.integration.apiserver.api import Api
from tests.integration.apiserver.conftest import with_default_account
from tests.integration.apiserver.raw import Raw
from tiphys.testing.api_server import running_api_server

Scenario = Callable[..., Coroutine[Any, Any, None]]


def scenarios() -> list[Any]:
    """Those that need nothing but a server and perhaps pytest's own fixtures."""
    return [
        pytest.param(function, id=name.removeprefix("test_"))
        for name, function in vars(test_http).items()
        if name.startswith("test_") and set(inspect.signature(function).parameters) <= {"raw", "monkeypatch", "caplog"}
    ]


@pytest.mark.parametrize("scenario", scenarios())
def test_on_uvloop(scenario: Scenario, keys: Path, request: pytest.FixtureRequest) -> None:
    async def run() -> None:
        async with running_api_server(keys, listen=True) as (server, _):
            await with_default_account(Api(server))
            raw = Raw(server, keys / "pki")
            wanted = inspect.signature(scenario).parameters
            try:
                await scenario(**{name: raw if name == "raw" else request.getfixturevalue(name) for name in wanted})
            finally:
                raw.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
