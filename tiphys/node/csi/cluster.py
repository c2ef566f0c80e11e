"""Objects of the API server that volumes of drivers need: CSIDriver objects, attachments, secrets, tokens."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name
from tiphys.api.machinery.base import time
from tiphys.api.machinery.errors import StatusError
from tiphys.api.storage import v1 as storage
from tiphys.client.client import Client
from tiphys.node.csi.requests import Source
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes.payload import TOKEN_EXPIRY, TokenKey, VolumeError
from tiphys.runtime.informer import Informer, InformerFactory
from tiphys.runtime.key import Key

FIRST_ANSWER = 10.0
"""Seconds to wait for the list of CSIDriver objects while the API server does not answer."""
RESOURCE_EXHAUSTED = 8
"""gRPC's number of the code with which a driver says that a node has no room for another volume."""
_TROUBLE = (StatusError, ConnectionError, TimeoutError)


class Token(msgspec.Struct, frozen=True):
    """A token as drivers read it: the status of a TokenRequest."""

    token: str
    expirationTimestamp: datetime


class CsiCluster:
    """Objects of the cluster as this node may read them."""

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock, node: str) -> None:
        self.node = node
        self.tokens = TokenCache(client, clock)
        self._client = client
        self._informers = informers
        self._drivers: Informer[storage.CSIDriver] | None = None

    @property
    def drivers(self) -> Informer[storage.CSIDriver]:
        """The CSIDriver objects, followed from the first question on: a node without drivers does not watch them."""
        if self._drivers is None:
            self._drivers = self._informers.of(storage.CSIDriver)
        return self._drivers

    async def driver(self, name: str) -> storage.CSIDriver | None:
        """Return the CSIDriver of a driver, None if it has none. Raises VolumeError while that is unknown."""
        if not self.drivers.synced:
            try:
                await asyncio.wait_for(self.drivers.wait_synced(), FIRST_ANSWER)
            except TimeoutError:
                raise VolumeError(f"failed to read CSIDriver {name}: no answer from the API server") from None
        return self.drivers.get(Key("", name))

    def known_driver(self, name: str) -> storage.CSIDriver | None:
        """Return the CSIDriver of a driver as far as it is known now."""
        return self.drivers.get(Key("", name))

    async def attachment(self, source: Source) -> storage.VolumeAttachment | None:
        """Return the attachment of a volume to this node, None if its driver attaches nothing. Raises VolumeError if there is none."""
        if not await self.attaches(source):
            return None
        name = attachment_name(source.driver, source.handle, self.node)
        try:
            return await self._client.get(storage.VolumeAttachment, name)
        except _TROUBLE as error:
            raise VolumeError(f"volume {source.handle} has GET error for volume attachment {name}: {error}") from error

    async def attaches(self, source: Source) -> bool:
        """Return whether the volume is attached before it is mounted. Raises VolumeError."""
        if source.lifecycle == "Ephemeral":
            return False
        driver = await self.driver(source.driver)
        return driver is None or driver.spec.attachRequired is not False

    async def secret(self, field: str, reference: core.SecretReference | None) -> dict[str, str]:
        """Return the content of a secret that a volume names in `field`. Raises VolumeError."""
        if reference is None:
            return {}
        try:
            secret = await self._client.get(core.Secret, reference.name, reference.namespace)
        except _TROUBLE as error:
            reason = f"failed to find the secret {reference.name} in the namespace {reference.namespace} with error: {error}"
            raise VolumeError(f"fetching {field} {reference.namespace}/{reference.name} failed: {reason}") from error
        try:
            return {key: value.decode() for key, value in secret.data.items()}
        except UnicodeDecodeError:
            # The interface's secrets are text.
            message = f"fetching {field} {reference.namespace}/{reference.name} failed: a value is not valid UTF-8"
            raise VolumeError(message) from None

    async def service_account_tokens(self, driver: storage.CSIDriver | None, pod: core.Pod) -> dict[str, Token]:
        """Return the tokens that a driver asks for, by audience. Raises VolumeError."""
        tokens: dict[str, Token] = {}
        for request in driver.spec.tokenRequests if driver is not None else ():
            key = TokenKey(request.audience, request.expirationSeconds or TOKEN_EXPIRY)
            try:
                token, expires = await self.tokens.get_with_expiry(pod, key)
            except _TROUBLE as error:
                raise VolumeError(f"failed to get service account token attributes: {error}") from error
            tokens[request.audience] = Token(token, time(expires))
        return tokens


def check_attached(attachment: storage.VolumeAttachment, handle: str) -> None:
    """Raise VolumeError for a volume that is not attached, or not much longer."""
    if attachment.metadata.deletionTimestamp is not None:
        raise VolumeError("volume attachment is being deleted")
    if attachment.status.attached:
        return
    if attachment.status.attachError is not None:
        raise VolumeError(attachment.status.attachError.message)
    raise VolumeError(f"volume {handle} is not attached for volume attachment {attachment.metadata.name}")


def is_exhausted(attachment: storage.VolumeAttachment) -> bool:
    """Return whether the volume cannot be attached because the node has as many as it takes."""
    error = attachment.status.attachError
    return error is not None and error.errorCode == RESOURCE_EXHAUSTED
