"""Priority classes: `scheduling.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import other as columns
from tiphys.api.kinds.rules_other import PriorityClassRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.scheduling import v1 as scheduling

PRIORITY_CLASSES: Kind[scheduling.PriorityClass] = Kind(
    type=scheduling.PriorityClass,
    plural="priorityclasses",
    rules=PriorityClassRules(),
    columns=columns.PRIORITY_CLASSES,
    group="scheduling.k8s.io",
    namespaced=False,
    short_names=("pc",),
)

KINDS: tuple[Kind[Any], ...] = (PRIORITY_CLASSES,)
