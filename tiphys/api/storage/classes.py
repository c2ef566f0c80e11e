"""Questions about storage classes: which is the default, which is the newest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tiphys.api.meta.v1 import KubeObject
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import DEFAULT_STORAGE_CLASS, DEFAULT_STORAGE_CLASS_BETA

ObjectT = TypeVar("ObjectT", bound=KubeObject)


def is_default_class(value: StorageClass) -> bool:
    """True if claims that name no class get this one."""
    annotations = value.metadata.annotations
    return annotations.get(DEFAULT_STORAGE_CLASS) == "true" or annotations.get(DEFAULT_STORAGE_CLASS_BETA) == "true"


def newest(classes: Iterable[ObjectT]) -> ObjectT | None:
    """Of several that are marked as default the one made last; of those of the same second the first by name."""
    by_name = sorted(classes, key=lambda value: value.metadata.name)
    return max(by_name, key=lambda value: str(value.metadata.creationTimestamp), default=None)
