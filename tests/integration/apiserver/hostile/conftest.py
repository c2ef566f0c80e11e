"""A server with something in it, and a watch on what it complains about."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, PODS, Api, config, deployment, pod
from tests.integration.apiserver.conftest import with_default_account
from tests.integration.apiserver.raw import Raw
from tiphys.testing.api_server import running_api_server

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture
async def raw(keys: Path) -> AsyncIterator[Raw]:
    """A server behind TLS with a ConfigMap, a pod and a Deployment, each called `a`."""
    async with running_api_server(keys, listen=True) as (server, _):
        await fill(Api(server))
        raw = Raw(server, keys / "pki")
        yield raw
        raw.close()


@pytest.fixture
async def api(keys: Path) -> AsyncIterator[Api]:
    """The same without a socket."""
    async with running_api_server(keys) as (server, _):
        api = Api(server)
        await fill(api)
        yield api


async def fill(api: Api) -> None:
    await with_default_account(api)
    for target, document in ((CONFIGS, config("a", x="1")), (PODS, pod("a")), (DEPLOYMENTS, deployment("a"))):
        made = await api.post(target, document)
        assert made.status == 201, made.body


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client sends is worth a warning of ours, let alone a stack."""
    caplog.set_level(logging.WARNING)
    yield
    found = [record for record in caplog.get_records("call") if record.name.startswith(("tiphys", "asyncio"))]
    assert not found, [(record.name, record.getMessage(), record.exc_info) for record in found]
