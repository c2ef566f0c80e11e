"""Execution of a plan for slices, and what is known about slices whose creation had no answer."""

from __future__ import annotations

from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.selectors import from_map
from tiphys.api.meta.v1 import KubeObject
from tiphys.api.well_known import SERVICE_NAME
from tiphys.client.client import Client
from tiphys.controllers.endpoints import slices
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.doubts import Doubts
from tiphys.controllers.shared.namespaces import skip_ended
from tiphys.runtime import Informer, Key, delete_exact


class SliceWriter:
    """Reads and writes the slices of owners, as `manager` (the value of the label by which a loop knows its slices).

    The server completes the names of slices, so a creation whose answer was lost is not refused when it is repeated.
    """

    def __init__(self, client: Client, informer: Informer[discovery.EndpointSlice], manager: str) -> None:
        self._client = client
        self._informer = informer
        self._manager = manager
        self._doubts = Doubts()

    def forget(self, owner: Key) -> None:
        """Drop what is known about an owner that is gone."""
        self._doubts.forget(owner)

    async def settle(self, owner: KubeObject, known: list[discovery.EndpointSlice]) -> list[discovery.EndpointSlice]:
        """Return the slices of an owner, as cached (`known`) or, where an answer was lost, as the server has them."""
        selector = from_map({SERVICE_NAME: owner.metadata.name, slices.MANAGED_BY: self._manager})
        return await self._doubts.settle(self._client, owner, selector, self._informer, known)

    async def write(self, owner: KubeObject, step: slices.Plan) -> None:
        """Apply a plan for the slices of an owner; failures because its namespace is terminating are ignored."""
        with skip_ended():
            for slice_ in step.create:
                await self._create(owner, slice_)
            for slice_ in step.update:
                await self._client.update(slice_)
        for slice_ in step.delete:
            await delete_exact(self._client, discovery.EndpointSlice, slice_.metadata)

    async def _create(self, owner: KubeObject, slice_: discovery.EndpointSlice) -> None:
        slice_.metadata.ownerReferences = [reference(owner)]
        try:
            await self._client.create(slice_)
        except Exception as error:
            self._doubts.note(Key.of(owner), error)
            raise
