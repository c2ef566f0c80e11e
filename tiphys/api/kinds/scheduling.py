"""Priority classes: `scheduling.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.scheduling import v1 as scheduling
from tiphys.api.scheme import Kind

PRIORITY_CLASSES: Kind[scheduling.PriorityClass] = Kind(
    type=scheduling.PriorityClass, plural="priorityclasses", group="scheduling.k8s.io", namespaced=False, short_names=("pc",)
)

KINDS: tuple[Kind[Any], ...] = (PRIORITY_CLASSES,)
