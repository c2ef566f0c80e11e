"""The cleaner of legacy tokens: marks and deletes generated token Secrets of service accounts that have been unused for a year."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.controllers.legacytokens.plan import INVALID_SINCE, TYPE, begins, plan, unused
from tiphys.controllers.legacytokens.settings import LegacyTokenSettings
from tiphys.obs.logging import get_logger
from tiphys.runtime import DONE, ControllerContext, Declaration, Key, Result, Whole, delete_exact

log = get_logger(__name__)

TRACKING: Final = Key("kube-system", "kube-apiserver-legacy-service-account-token-tracking")
"""ConfigMap of an API server that records uses of tokens, with the day since which it does."""
ROUND_SECONDS: Final = 86400.0


class LegacyTokenCleaner:
    """Cleans up once a day. Its one key is TRACKING: where uses are not recorded, it does nothing at all."""

    declaration = Declaration(
        name="legacy-serviceaccount-token-cleaner-controller",
        kind=core.Secret,
        roles=("legacy-service-account-token-cleaner",),
        reads=(Whole(core.ConfigMap, namespace=TRACKING.namespace, fields=f"metadata.name={TRACKING.name}"),),
        settings=LegacyTokenSettings,
    )

    def __init__(self, settings: LegacyTokenSettings) -> None:
        self._period = settings.period

    def setup(self, ctx: ControllerContext) -> None:
        self._ctx = ctx
        self._tracking = ctx.read(core.ConfigMap)
        ctx.watch(self._tracking)

    async def reconcile(self, key: Key) -> Result:
        beginning = begins(self._tracking.get(key), self._period)
        if beginning is None:
            return DONE
        if (wait := (beginning - self._ctx.clock.now()).total_seconds()) > 0:
            return Result(min(wait, ROUND_SECONDS))
        await self._clean()
        return Result(ROUND_SECONDS)

    async def _clean(self) -> None:
        client, now = self._ctx.client, self._ctx.clock.now()
        # A list a day costs less than a cache of every Secret and of the volumes of every pod.
        secrets = (await client.list(core.Secret, fields=f"type={TYPE}")).items
        candidates = unused(secrets, now, self._period)
        namespaces = sorted({secret.metadata.namespace for secret in candidates})
        accounts = [account for namespace in namespaces for account in (await client.list(core.ServiceAccount, namespace)).items]
        pods = [pod for namespace in namespaces for pod in (await client.list(core.Pod, namespace)).items]
        step = plan(candidates, accounts, pods, now, self._period)
        for secret in step.mark:
            await self._mark(secret, now.strftime("%Y-%m-%d"))
        for secret in step.delete:
            # Conflict: it is another one by now, or was used since; the next round looks again.
            with suppress(Conflict):
                await delete_exact(client, core.Secret, secret.metadata, unchanged=True)

    async def _mark(self, secret: core.Secret, today: str) -> None:
        meta = secret.metadata
        body = {"metadata": {"uid": meta.uid, "labels": {INVALID_SINCE: today}}}
        log.info("unused token marked as invalid", extra={"secret": str(Key.of(secret))})
        with suppress(Conflict, NotFound):
            await self._ctx.client.patch(core.Secret, meta.name, meta.namespace, body=body, kind="merge")
