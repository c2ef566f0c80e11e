"""API priority and fairness."""

from __future__ import annotations

from typing import Any

from tiphys.api.flowcontrol.flow_schema import FLOW_SCHEMAS
from tiphys.api.flowcontrol.priority_level import PRIORITY_LEVELS
from tiphys.api.machinery.scheme import Kind

KINDS: tuple[Kind[Any], ...] = (FLOW_SCHEMAS, PRIORITY_LEVELS)
