"""Writes of the history of a workload: its ControllerRevisions, as `shared.revisions` chooses them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.machinery.errors import AlreadyExists
from tiphys.client.client import Client
from tiphys.controllers.shared.revisions import NAME_LENGTH, Choice, Data, Workload, make_revision
from tiphys.runtime import controller_of, delete_exact


class Recorded(NamedTuple):
    """Revision of the present template, as the server has it."""

    revision: apps.ControllerRevision
    collisions: int
    """Number of taken names so far, for the status of the workload."""


async def record(client: Client, workload: Workload, choice: Choice, data: Data, *, longest: int = NAME_LENGTH) -> Recorded:
    """Create the chosen revision, or give it its new number; writes nothing when it is there already.

    A name that another revision has is avoided by counting one more collision. Raises Conflict when the cache is behind.
    """
    collisions = workload.status.collisionCount or 0
    known, number = choice
    if known is not None:
        if known.revision != number:
            known = await client.update(msgspec.structs.replace(known, revision=number))
        return Recorded(known, collisions)
    while True:
        made = make_revision(workload, data, number, collisions=collisions, longest=longest)
        try:
            return Recorded(await client.create(made), collisions)
        except AlreadyExists:
            found = await client.get(apps.ControllerRevision, made.metadata.name, made.metadata.namespace)
        owner = controller_of(found)
        if owner is not None and owner.uid == workload.metadata.uid and found.data == data and found.metadata.deletionTimestamp is None:
            # The answer to its creation was lost, and the cache does not show it yet.
            return Recorded(found, collisions)
        collisions += 1


async def forget(client: Client, revisions: Iterable[apps.ControllerRevision]) -> None:
    """Delete revisions, in the version known here."""
    for revision in revisions:
        await delete_exact(client, apps.ControllerRevision, revision.metadata, unchanged=True)
