"""The shared machinery of every object, meta/v1: options."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.base import Atomic, Struct, always


class Preconditions(Struct):
    """What must be true for a change to happen."""

    uid: str | None = None
    """The UID that the object must have."""
    resourceVersion: str | None = None
    """The resourceVersion that the object must have."""


class DeleteOptions(Struct):
    """How an object is deleted."""

    gracePeriodSeconds: int | None = None
    """Seconds until it is gone; 0 means at once. By default what the object itself says."""
    preconditions: Preconditions | None = None
    """What must be true, or else the answer is a conflict."""
    orphanDependents: bool | None = None
    """The old way to say propagationPolicy: true is `Orphan`."""
    propagationPolicy: str | None = None
    """What becomes of objects that it owns: `Orphan` leaves them, `Background` deletes them afterwards, `Foreground` before."""
    dryRun: Annotated[list[str], Atomic()] = []
    """`All` to go through everything without storing it."""
    ignoreStoreReadErrorWithClusterBreakingPotential: bool | None = None
    """Whether an object that can no longer be read is removed anyway, without finalizers and checks."""
    apiVersion: str = ""
    """The version of these options' schema."""
    kind: str = ""
    """`DeleteOptions`."""


class ShardInfo(Struct):
    """A part of all objects."""

    selector: str = always(str)
    """Which part."""


class WatchEvent(Struct):
    """A change that a watch reports."""

    type: str = always(str)
    """`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`."""
    object: Any = None
    """The object after the change, before its deletion, or a Status for an error."""
