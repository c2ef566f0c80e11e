"""ComponentStatus: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.v1 import ComponentCondition, ComponentStatus
from tiphys.api.machinery.columns import NAME, cell
from tiphys.api.machinery.scheme import Column, Kind


def _healthy(status: ComponentStatus) -> ComponentCondition | None:
    return next((condition for condition in status.conditions if condition.type == "Healthy"), None)


def _component(status: ComponentStatus) -> str:
    condition = _healthy(status)
    return "Unknown" if condition is None else "Healthy" if condition.status == "True" else "Unhealthy"


COLUMNS = (
    NAME,
    Column("Status", cell(_component), description="Healthy or Unhealthy."),
    Column("Message", cell(lambda status: getattr(_healthy(status), "message", "")), description="What the component says."),
    Column("Error", cell(lambda status: getattr(_healthy(status), "error", "")), description="What is wrong."),
)

COMPONENT_STATUSES: Kind[core.ComponentStatus] = Kind(
    type=core.ComponentStatus,
    plural="componentstatuses",
    columns=COLUMNS,
    namespaced=False,
    short_names=("cs",),
    verbs=("get", "list"),
    deprecated="v1 ComponentStatus is deprecated in v1.19+",
)
