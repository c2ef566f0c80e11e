"""Unused token Secrets on a real API server: the right to read, mark and delete them."""

from __future__ import annotations

from tests.integration.controllers.conftest import Cluster
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.legacytokens.controller import TRACKING, LegacyTokenCleaner
from tiphys.controllers.legacytokens.plan import ACCOUNT, INVALID_SINCE, TYPE
from tiphys.controllers.legacytokens.settings import LegacyTokenSettings
from tiphys.testing import eventually


async def test_marks_and_deletes_generated_tokens(cluster: Cluster) -> None:
    client = cluster.client
    generated = ("unused", "marked")
    listed = [core.ObjectReference(name=name) for name in generated]
    await client.create(core.ServiceAccount(metadata=ObjectMeta(name="ci", namespace="default"), secrets=listed))
    for name, invalid in (("unused", ""), ("marked", "2020-01-01"), ("by-hand", "2020-01-01")):
        labels = {INVALID_SINCE: invalid} if invalid else {}
        meta = ObjectMeta(name=name, namespace="default", labels=labels, annotations={ACCOUNT: "ci"})
        await client.create(core.Secret(metadata=meta, type=TYPE))
    today = base.time(client.clock.now()).strftime("%Y-%m-%d")
    async with cluster.controllers(LegacyTokenCleaner(LegacyTokenSettings(period=0.0))):
        meta = ObjectMeta(name=TRACKING.name, namespace=TRACKING.namespace)
        await client.create(core.ConfigMap(metadata=meta, data={"since": "2020-01-01"}))

        async def cleaned() -> bool:
            secrets = (await client.list(core.Secret, "default")).items
            days = {secret.metadata.name: secret.metadata.labels.get(INVALID_SINCE, "") for secret in secrets}
            assert days == {"unused": days["unused"], "by-hand": "2020-01-01"}
            return days["unused"] >= today

        await eventually(cleaned)
