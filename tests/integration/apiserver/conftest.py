"""A running API server for each test; its keys are made once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.apiserver.api import NS, Api
from tests.integration.apiserver.raw import Raw
from tiphys.testing.api_server import running_api_server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
async def api(keys: Path) -> AsyncIterator[Api]:
    async with running_api_server(keys) as (server, _):
        api = Api(server)
        await with_default_account(api)
        yield api


@pytest.fixture
async def raw(keys: Path) -> AsyncIterator[Raw]:
    """A server behind TLS."""
    async with running_api_server(keys, listen=True) as (server, _):
        await with_default_account(Api(server))
        raw = Raw(server, keys / "pki")
        yield raw
        raw.close()


async def with_default_account(api: Api) -> None:
    """Make the objects that controllers would make: pods need them."""
    made = await api.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    assert made.status == 201, made.body
