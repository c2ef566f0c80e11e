"""Tables of horizontal pod autoscalers."""

from __future__ import annotations

from tiphys.api.machinery.columns import AGE, cell
from tiphys.api.machinery.scheme import Column

COLUMNS = (
    Column("Name", cell(lambda obj: obj.metadata.name), description="The name of what is scaled."),
    Column("Desired", cell(lambda obj: obj.spec.replicas), type="integer", description="How many replicas there shall be."),
    Column("Available", cell(lambda obj: obj.status.replicas), type="integer", description="How many replicas there are."),
    AGE,
)
