"""The shared machinery of every object, meta/v1: options."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.machinery.base import Atomic, Struct, always, field


class Preconditions(Struct):
    """Conditions that an object must meet to be changed."""

    uid: str | None = None
    """The UID that the object must have."""
    resourceVersion: str | None = None
    """The resourceVersion that the object must have."""


class DeleteOptions(Struct):
    """Options of a deletion."""

    gracePeriodSeconds: int | None = None
    """Seconds until it is gone; 0 means at once. By default the object's own."""
    preconditions: Preconditions | None = None
    """Preconditions; a conflict is answered if one does not hold."""
    orphanDependents: bool | None = None
    """The old way to say propagationPolicy: true is `Orphan`."""
    propagationPolicy: str | None = None
    """Treatment of objects that it owns: `Orphan` leaves them, `Background` deletes them afterwards, `Foreground` before."""
    dryRun: Annotated[list[str], Atomic()] = []
    """`All` to go through everything without storing it."""
    ignoreStoreReadErrorWithClusterBreakingPotential: bool | None = None
    """True if an object that can no longer be read is removed anyway, without finalizers and checks."""
    apiVersion: str = ""
    """The version of these options' schema."""
    kind: str = ""
    """`DeleteOptions`."""


class GetOptions(Struct):
    """Parameters of a GET of one object."""

    resourceVersion: str = ""
    """Minimum freshness of the answer, as a version."""


class ListOptions(Struct):
    """Parameters of list, watch and deletecollection."""

    labelSelector: str = ""
    """Only objects whose labels match."""
    fieldSelector: str = ""
    """Only objects whose fields match."""
    watch: bool = False
    """True if changes are streamed instead of a list."""
    allowWatchBookmarks: bool = False
    """True if a watch sends BOOKMARK events."""
    resourceVersion: str = ""
    """Minimum freshness of the answer, as a version; where a watch starts."""
    resourceVersionMatch: str = ""
    """The meaning of resourceVersion: `Exact` or `NotOlderThan`."""
    timeoutSeconds: int | None = None
    """Seconds after which a watch ends."""
    limit: int = 0
    """Most objects to return; 0 and less mean all."""
    continue_: str = field(name="continue", default="")
    """The token with which a page of the list goes on."""
    sendInitialEvents: bool | None = None
    """True if a watch begins with the present objects."""


class CreateOptions(Struct):
    """Parameters of a create."""

    dryRun: Annotated[list[str], Atomic()] = []
    """`All` to go through everything without storing it."""
    fieldManager: str = ""
    """The name under which the changed fields are owned."""
    fieldValidation: str = ""
    """Treatment of unknown and repeated fields: `Ignore`, `Warn` (the default) or `Strict`."""


class UpdateOptions(CreateOptions):
    """Parameters of an update."""


class PatchOptions(CreateOptions):
    """Parameters of a patch."""

    force: bool | None = None
    """True if an apply takes conflicting fields over from other managers."""


class TableOptions(Struct):
    """Parameters of an answer in the form of a Table."""

    includeObject: str = ""
    """Part of the object in each row: `Metadata` (the default), `Object` or `None`."""


class ShardInfo(Struct):
    """A part of all objects."""

    selector: str = always(str)
    """Selector of the part."""


class WatchEvent(Struct):
    """A change that a watch reports."""

    type: str = always(str)
    """`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`."""
    object: Any = None
    """The object after the change, before its deletion, or a Status for an error."""
