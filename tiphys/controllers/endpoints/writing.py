"""Writing what a plan for slices says."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.errors import NotFound
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.controllers.endpoints import slices
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.namespaces import skip_ended


class SliceWriter:
    """Applies plans through a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def write(self, owner: KubeObject, step: slices.Plan) -> None:
        """Apply a plan for the slices of an owner; what goes with its namespace is not complained about."""
        with skip_ended():
            for slice_ in step.create:
                slice_.metadata.ownerReferences = [reference(owner)]
                await self._client.create(slice_)
            for slice_ in step.update:
                await self._client.update(slice_)
        for slice_ in step.delete:
            await self.delete(slice_)

    async def delete(self, obj: core.Endpoints | discovery.EndpointSlice) -> None:
        """Delete this very object, if it is still there."""
        meta = obj.metadata
        try:
            await self._client.delete(type(obj), meta.name, meta.namespace, uid=meta.uid)
        except NotFound:
            return
