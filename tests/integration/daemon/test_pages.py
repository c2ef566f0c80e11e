"""Health and metrics of a component in a process of its own, asked over HTTPS."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.apiserver.process import free_port
from tiphys.aio.clock import LoopClock, VirtualClock
from tiphys.api.authentication.v1 import TokenRequest, TokenRequestSpec
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import StatusError
from tiphys.api.meta import v1 as meta
from tiphys.api.rbac import v1 as rbac
from tiphys.client.client import Client
from tiphys.client.rest import HttpTransport
from tiphys.daemon.pages import SILENCE, Pages, checks_of
from tiphys.runtime.delegated import Reviews
from tiphys.runtime.leader import LeaderElector
from tiphys.settings.serving import ServingSettings
from tiphys.testing.api_server import running_api_server
from tiphys.testing.memory_api import MemoryApi

FAULT = {"text": ""}


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api_server(tmp_path) as (_, client_for):
        yield client_for()


@pytest.fixture
async def pages(admin: Client) -> AsyncIterator[Pages]:
    FAULT["text"] = ""
    checks = {"ping": lambda: "", "odd": lambda: FAULT["text"]}
    serving = ServingSettings(bind_address="127.0.0.1", port=free_port())
    async with Pages(serving, Reviews(admin, LoopClock()), checks, clock=LoopClock()) as started:
        yield started


async def ask(pages: Pages, path: str, token: str = "") -> tuple[int, str]:
    client = Client(HttpTransport(f"https://127.0.0.1:{pages.port}", insecure=True, token=token))
    try:
        path, _, query = path.partition("?")
        response = await client.raw("GET", path, query=[(query, "")] if query else ())
        return response.status, response.body.decode()
    except StatusError as error:
        return error.code, str(error)
    finally:
        await client.close()


async def token_of(admin: Client, name: str) -> str:
    await admin.create(core.ServiceAccount(metadata=meta.ObjectMeta(name=name, namespace="default")))
    body = TokenRequest(spec=TokenRequestSpec())
    return (await admin.post(core.ServiceAccount, name, "default", "token", body, TokenRequest)).status.token


async def test_anybody_may_read_the_health(pages: Pages) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/healthz/odd"):
        assert await ask(pages, path) == (200, "ok")
    assert "[+]odd ok" in (await ask(pages, "/readyz?verbose"))[1]
    FAULT["text"] = "it is odd"
    status, text = await ask(pages, "/healthz")
    assert status == 500
    assert "it is odd" not in text, "reasons are withheld from strangers"
    assert (await ask(pages, "/healthz/ping"))[0] == 200
    assert (await ask(pages, "/healthz/none"))[0] == 404


async def test_metrics_are_for_whom_the_api_server_allows(pages: Pages, admin: Client) -> None:
    assert (await ask(pages, "/metrics"))[0] == 401
    assert (await ask(pages, "/metrics", "odd"))[0] == 401
    stranger, scraper = await token_of(admin, "stranger"), await token_of(admin, "scraper")
    role = rbac.ClusterRole(
        metadata=meta.ObjectMeta(name="scraper"), rules=[rbac.PolicyRule(verbs=["get"], nonResourceURLs=["/metrics", "/metrics/slis"])]
    )
    await admin.create(role)
    subject = rbac.Subject(kind="ServiceAccount", name="scraper", namespace="default")
    ref = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="scraper")
    await admin.create(rbac.ClusterRoleBinding(metadata=meta.ObjectMeta(name="scraper"), subjects=[subject], roleRef=ref))
    assert (await ask(pages, "/metrics", stranger))[0] == 403
    status, text = await ask(pages, "/metrics", scraper)
    assert status == 200
    assert "process_cpu_seconds_total" in text
    status, text = await ask(pages, "/metrics/slis", scraper)
    assert (status, 'kubernetes_healthcheck{name="odd",type="healthz"} 1' in text) == (200, True)
    assert (await ask(pages, "/other", scraper))[0] == 404


async def test_tokens_and_rights_may_be_reviewed_under_different_accounts(tmp_path: Path) -> None:
    async with running_api_server(tmp_path) as (_, client_for):
        admin, stranger = client_for(), client_for("stranger")
        token = await token_of(admin, "scraper")
        for tokens, rights, status in ((admin, stranger, 500), (stranger, admin, 401), (admin, admin, 403)):
            reviews = Reviews(tokens, LoopClock(), authorizing=rights)
            serving = ServingSettings(bind_address="127.0.0.1", port=free_port())
            async with Pages(serving, reviews, {}, clock=LoopClock()) as pages:
                assert (await ask(pages, "/metrics", token))[0] == status


async def test_a_port_that_is_taken_ends_the_start(pages: Pages, admin: Client) -> None:
    serving = ServingSettings(bind_address="127.0.0.1", port=pages.port)
    with pytest.raises(OSError, match="in use"):
        async with Pages(serving, Reviews(admin, LoopClock()), {}, clock=LoopClock()):
            pass


async def test_no_port_is_no_server(admin: Client) -> None:
    async with Pages(ServingSettings(), Reviews(admin, LoopClock()), {}, clock=LoopClock()) as pages:
        assert pages.port == 0


async def test_an_election_without_answers_is_unhealthy() -> None:
    clock = VirtualClock()
    async with MemoryApi.running(clock=clock) as api:
        elector = LeaderElector(api.client(), "lock", "me", clock=clock, rng=random.Random(1))
        check = checks_of(elector, clock)["leaderElection"]
        await clock.sleep(elector.timing.duration + SILENCE - 1.0)
        assert check() == ""
        await clock.sleep(2.0)
        assert check() == "the API server has not answered about the lease for 36 s"
        assert await elector._try()
        assert check() == ""
        assert set(checks_of(None, clock)) == {"ping"}
