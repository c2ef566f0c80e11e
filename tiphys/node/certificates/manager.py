"""Loop that keeps one certificate of a kubelet valid: requests it, waits for approval and issue, and renews it in time.

    prepare --valid, early--> sleep --a minute later--> prepare
       |--bootstrap pair, late, or other addresses--> request --issued--> in use
                                                         |--names changed, request gone--> prepare
                                                         |--denied, failed, no answer--> back-off --> prepare

Users of the certificate follow its file (`aio.certificates`). ("Configure Certificate Rotation for the Kubelet", KEP-266)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock
from tiphys.api.certificates.v1 import CertificateSigningRequest
from tiphys.api.machinery.errors import AlreadyExists, NotFound, StatusError
from tiphys.client.client import Client
from tiphys.node.certificates.metrics import Measures
from tiphys.node.certificates.request import (
    RequestFailed,
    Template,
    generate_key,
    is_request_of,
    is_valid_for,
    issued,
    read_issued,
    renewal_time,
    signing_request,
)
from tiphys.node.certificates.store import PairStore
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

CHECK_SECONDS = 60.0
"""Interval between checks of the certificate's age and names, also while a request waits for its approval."""
RETRY = BackoffPolicy(first=2.0, cap=600.0, jitter=0.1)


class CertificateManager:
    """Keeper of one certificate. `template` returns its present contents: the addresses of a node may change."""

    def __init__(
        self,
        store: PairStore,
        template: Callable[[], Template],
        client: Client,
        measures: Measures,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._store = store
        self._template = template
        self._client = client
        self._measures = measures
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(RETRY, rng=rng)
        self._renewal: tuple[int, datetime] | None = None
        """Serial number of the certificate in use, and the time chosen for its renewal."""

    async def run(self) -> None:
        """Keep the certificate valid until cancelled. Failures are logged and counted, and tried again."""
        try:
            await self._keep()
        finally:
            # Nobody looks at the certificate any more, so there is none to tell of.
            self._measures.expires = None

    async def _keep(self) -> None:
        while True:
            try:
                await self._renew_if_due()
            except (OSError, ValueError, StatusError, RequestFailed) as error:
                self._measures.errors.inc()
                log.error("renewal of a certificate failed", extra={"file": str(self._store.current), "error": str(error)})
                await self._clock.sleep(self._backoff.next())
            else:
                self._backoff.reset()
                await self._clock.sleep(CHECK_SECONDS)

    async def _renew_if_due(self) -> None:
        while True:
            template, now = self._template(), self._clock.now()
            in_use = await asyncio.to_thread(self._store.prepare, now)
            self._measures.expires = in_use.certificate.not_valid_after_utc
            if in_use.is_issued and is_valid_for(in_use.certificate, template, now) and now < self._due(in_use.certificate):
                return
            if await self._renew(template):
                self._measures.observe_rotation(in_use.certificate, self._clock.now())

    def _due(self, certificate: x509.Certificate) -> datetime:
        if self._renewal is None or self._renewal[0] != certificate.serial_number:
            self._renewal = (certificate.serial_number, renewal_time(certificate, self._rng.random()))
        return self._renewal[1]

    async def _renew(self, template: Template) -> bool:
        """Obtain a certificate and take it into use; False when the request was overtaken by events and another one is due."""
        key = await asyncio.to_thread(self._store.pending_key)
        if key is None:
            key = generate_key()
            await asyncio.to_thread(self._store.set_pending, key)
        try:
            pem = await self._obtain(template, key)
            if pem is None:
                return False
            certificate = read_issued(pem, key)
        except RequestFailed:
            # What was refused once is not repeated under the same name.
            await asyncio.to_thread(self._store.drop_pending)
            raise
        await asyncio.to_thread(self._store.add, pem, key, self._clock.now())
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}"
        log.info("a certificate was issued", extra={"file": str(self._store.current), "expires": until})
        return True

    async def _obtain(self, template: Template, key: ec.EllipticCurvePrivateKey) -> bytes | None:
        """Return the issued certificate in PEM, None when the request is gone or the template has changed meanwhile."""
        csr = signing_request(template, key)
        name = csr.metadata.name
        try:
            await self._client.create(csr)
        except AlreadyExists:
            if not is_request_of(await self._client.get(CertificateSigningRequest, name), template, key):
                raise RequestFailed(f"certificate signing request {name} is somebody else's") from None
        else:
            log.info("a certificate was requested", extra={"request": name, "signer": template.signer})
        try:
            return await self._wait(name, template)
        except NotFound:
            return None

    async def _wait(self, name: str, template: Template) -> bytes | None:
        while self._template() == template:
            csr = await self._client.get(CertificateSigningRequest, name)
            if (pem := issued(csr)) is not None:
                return pem
            watch = self._client.watch(
                CertificateSigningRequest,
                fields=f"metadata.name={name}",
                resource_version=csr.metadata.resourceVersion,
                bookmarks=False,
                timeout=CHECK_SECONDS,
            )
            async with aclosing(watch) as events:
                async for event in events:
                    if event.type == "DELETED":
                        return None
                    if (pem := issued(event.object)) is not None:
                        return pem
        return None
