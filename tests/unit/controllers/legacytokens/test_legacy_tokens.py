"""Unused token Secrets: what counts as unused and generated, and when a Secret is marked and deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.controllers.make import NOW
from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.legacytokens.controller import TRACKING, LegacyTokenCleaner
from tiphys.controllers.legacytokens.plan import ACCOUNT, ACCOUNT_UID, INVALID_SINCE, LAST_USED, TYPE, begins, plan, secret_names, unused
from tiphys.controllers.legacytokens.settings import LegacyTokenSettings
from tiphys.runtime import Manager
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi

YEAR = 365 * 86400.0
LIMIT = NOW - timedelta(seconds=YEAR)
LONG_AGO = LIMIT - timedelta(days=30)


def day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def secret(*, type_: str = TYPE, created: datetime | None = LONG_AGO, deleting: bool = False, **labels: str) -> core.Secret:
    names = {"used": LAST_USED, "invalid": INVALID_SINCE}
    meta = ObjectMeta(
        name="ci-token",
        namespace="default",
        creationTimestamp=created,
        deletionTimestamp=NOW if deleting else None,
        labels={names[name]: value for name, value in labels.items()},
        annotations={ACCOUNT: "ci", ACCOUNT_UID: "uid-ci"},
    )
    return core.Secret(metadata=meta, type=type_)


def account(*secrets: str, uid: str = "uid-ci", namespace: str = "default") -> core.ServiceAccount:
    listed = [core.ObjectReference(name=name) for name in secrets]
    return core.ServiceAccount(metadata=ObjectMeta(name="ci", namespace=namespace, uid=uid), secrets=listed)


@pytest.mark.parametrize(
    ("candidate", "result"),
    [
        (secret(), True),
        (secret(used=day(LIMIT - timedelta(days=1))), True),
        (secret(used=day(LIMIT)), False),
        (secret(used=day(NOW)), False),
        (secret(used="yesterday"), False),
        (secret(created=LIMIT), False),
        (secret(created=LIMIT - timedelta(seconds=1)), True),
        (secret(created=None), False),
        (secret(deleting=True), False),
        (secret(type_="Opaque"), False),
    ],
    ids=["never used", "long ago", "just within", "today", "no date", "young", "old enough", "no age", "deleting", "another type"],
)
def test_unused_tokens(candidate: core.Secret, result: bool) -> None:
    assert unused([candidate], NOW, YEAR) == ([candidate] if result else [])


@pytest.mark.parametrize(
    ("invalid", "action"),
    [
        (None, "mark"),
        ("soon", "mark"),
        (day(NOW), ""),
        (day(LIMIT), ""),
        (day(LIMIT - timedelta(days=1)), "delete"),
    ],
)
def test_tokens_are_marked_first_and_deleted_a_period_later(invalid: str | None, action: str) -> None:
    marked = secret() if invalid is None else secret(invalid=invalid)
    step = plan([marked], [account("ci-token")], [], NOW, YEAR)
    assert (len(step.mark), len(step.delete)) == (action == "mark", action == "delete")


@pytest.mark.parametrize(
    "owner",
    [account(), account("other"), account("ci-token", uid="uid-former"), account("ci-token", namespace="elsewhere")],
    ids=["made by hand", "another one's", "of a former account", "another namespace"],
)
def test_only_generated_tokens_are_touched(owner: core.ServiceAccount) -> None:
    assert plan([secret()], [owner], [], NOW, YEAR) == ([], [])


def test_a_token_without_a_uid_belongs_to_the_account_of_its_name() -> None:
    old = secret()
    del old.metadata.annotations[ACCOUNT_UID]
    assert plan([old], [account("ci-token")], [], NOW, YEAR).mark == [old]


def pod(namespace: str = "default", **spec: object) -> core.Pod:
    filled = {"containers": [core.Container(name="main")], **spec}
    return core.Pod(metadata=ObjectMeta(name="p", namespace=namespace), spec=core.PodSpec(**filled))  # type: ignore[arg-type]


def test_mounted_tokens_stay() -> None:
    volume = core.Volume(name="v", secret=core.SecretVolumeSource(secretName="ci-token"))
    assert plan([secret()], [account("ci-token")], [pod(volumes=[volume])], NOW, YEAR) == ([], [])
    assert plan([secret()], [account("ci-token")], [pod("elsewhere", volumes=[volume])], NOW, YEAR).mark == [secret()]


def test_secrets_of_a_pod() -> None:
    projection = core.VolumeProjection(secret=core.SecretProjection(name="d"))
    csi = core.CSIVolumeSource(driver="x", nodePublishSecretRef=core.LocalObjectReference(name="e"))
    variable = core.EnvVar(name="V", valueFrom=core.EnvVarSource(secretKeyRef=core.SecretKeySelector(name="b", key="k")))
    both = pod(
        imagePullSecrets=[core.LocalObjectReference(name="a")],
        containers=[core.Container(name="main", env=[variable, core.EnvVar(name="secret", value="no")])],
        initContainers=[core.Container(name="i", envFrom=[core.EnvFromSource(secretRef=core.SecretEnvSource(name="c"))])],
        volumes=[
            core.Volume(name="v", projected=core.ProjectedVolumeSource(sources=[projection])),
            core.Volume(name="w", csi=csi),
            core.Volume(name="x", secret=core.SecretVolumeSource(secretName="f")),
            core.Volume(name="y", configMap=core.ConfigMapVolumeSource(name="no")),
        ],
    )
    assert secret_names(both) == {"a", "b", "c", "d", "e", "f"}


def test_cleaning_begins_a_period_after_the_first_day_of_records() -> None:
    def tracking(**data: str) -> core.ConfigMap:
        return core.ConfigMap(metadata=ObjectMeta(name="tracking"), data=data)

    assert begins(tracking(since="2024-12-31"), YEAR) == datetime(2026, 1, 1, tzinfo=UTC)
    for unclear in (None, tracking(), tracking(since=""), tracking(since="2024-12-31T00:00:00Z"), tracking(since="2024-13-01")):
        assert begins(unclear, YEAR) is None


# The loop, in virtual time

DAY = 86400.0


@asynccontextmanager
async def running(api: MemoryApi) -> AsyncIterator[None]:
    client = api.client()
    manager = Manager(client, clock=client.clock, rng=random.Random(1))
    manager.add_all([LegacyTokenCleaner(LegacyTokenSettings(period=2 * DAY))])
    task = asyncio.get_running_loop().create_task(manager.run(), name="manager")
    try:
        await eventually(lambda: manager.synced)
        yield
    finally:
        await cancel_and_wait(task)


@pytest.mark.looptime
async def test_generated_tokens_go_after_two_periods_without_a_use() -> None:
    clock = VirtualClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
    async with MemoryApi.running(clock=clock) as api:
        api.add(account("generated"))
        for name in ("generated", "by-hand"):
            old = secret(created=LONG_AGO)
            old.metadata.name = name
            api.add(old)

        async def tokens() -> dict[str, str]:
            """Return the names of tokens with the day since which they are invalid."""
            secrets = (await api.client().list(core.Secret, "default")).items
            return {one.metadata.name: one.metadata.labels.get(INVALID_SINCE, "") for one in secrets}

        async with running(api):
            await clock.sleep(3 * DAY)
            assert await tokens() == {"generated": "", "by-hand": ""}, "nothing records uses"
            api.add(core.ConfigMap(metadata=ObjectMeta(name=TRACKING.name, namespace=TRACKING.namespace), data={"since": "2026-01-04"}))
            await clock.sleep(2 * DAY)
            assert await tokens() == {"generated": "", "by-hand": ""}, "the first day does not count"
            await clock.sleep(DAY)
            assert await tokens() == {"generated": "2026-01-07", "by-hand": ""}
            await clock.sleep(2 * DAY)
            assert len(await tokens()) == 2
            await clock.sleep(DAY)
            assert await tokens() == {"by-hand": ""}
