"""A server with something in it, and a watch on what it complains about."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.integration.apiserver.api import CONFIGS, PODS, Api, config, deployment, pod
from tests.integration.apiserver.raw import Raw

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture
async def raw(raw: Raw) -> Raw:
    """A server behind TLS with a ConfigMap, a pod and a Deployment, each called `a`."""
    await fill(Api(raw.server))
    return raw


@pytest.fixture
async def api(api: Api) -> Api:
    """The same without a socket."""
    await fill(api)
    return api


async def fill(api: Api) -> None:
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
