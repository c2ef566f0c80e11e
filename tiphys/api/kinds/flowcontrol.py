"""API priority and fairness."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import flowcontrol as columns
from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.kinds.rules_flowcontrol import FlowSchemaRules, PriorityLevelRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS

GROUP = "flowcontrol.apiserver.k8s.io"

FLOW_SCHEMAS: Kind[flow.FlowSchema] = Kind(
    type=flow.FlowSchema,
    plural="flowschemas",
    rules=FlowSchemaRules(),
    columns=columns.FLOW_SCHEMAS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)

PRIORITY_LEVELS: Kind[flow.PriorityLevelConfiguration] = Kind(
    type=flow.PriorityLevelConfiguration,
    plural="prioritylevelconfigurations",
    rules=PriorityLevelRules(),
    columns=columns.PRIORITY_LEVELS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (FLOW_SCHEMAS, PRIORITY_LEVELS)
