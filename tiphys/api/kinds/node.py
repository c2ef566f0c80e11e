"""Runtime classes: `node.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns.storage import RUNTIME_CLASSES as COLUMNS
from tiphys.api.kinds.rules_storage import RuntimeClassRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.node import v1 as node

RUNTIME_CLASSES: Kind[node.RuntimeClass] = Kind(
    type=node.RuntimeClass,
    plural="runtimeclasses",
    rules=RuntimeClassRules(),
    columns=COLUMNS,
    group="node.k8s.io",
    namespaced=False,
)

KINDS: tuple[Kind[Any], ...] = (RUNTIME_CLASSES,)
