"""The shared machinery of every object, meta/v1: options."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.base import Atomic, Struct, always


class Preconditions(Struct):
    uid: str | None = None
    resourceVersion: str | None = None


class DeleteOptions(Struct):
    gracePeriodSeconds: int | None = None
    preconditions: Preconditions | None = None
    orphanDependents: bool | None = None
    propagationPolicy: str | None = None
    dryRun: Annotated[list[str], Atomic()] = []
    ignoreStoreReadErrorWithClusterBreakingPotential: bool | None = None
    apiVersion: str = ""
    kind: str = ""


class ShardInfo(Struct):
    selector: str = always(str)


class WatchEvent(Struct):
    type: str = always(str)
    object: Any = None
