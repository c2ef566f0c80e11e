"""The rules of flow schemas and priority levels."""

from __future__ import annotations

from tiphys.api.defaults.flowcontrol import default_flow_schema, default_level
from tiphys.api.flowcontrol.v1 import FlowSchema, PriorityLevelConfiguration
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules
from tiphys.api.validation import flowcontrol


class FlowSchemaRules(Rules[FlowSchema]):
    resets = METADATA_STAYS

    def default(self, obj: FlowSchema) -> None:
        default_flow_schema(obj)

    def validate(self, obj: FlowSchema) -> list[FieldError]:
        return flowcontrol.validate_flow_schema(obj)

    def prepare_status_update(self, new: FlowSchema, old: FlowSchema) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: FlowSchema, old: FlowSchema) -> list[FieldError]:
        return flowcontrol.validate_conditions(new.status.conditions)


class PriorityLevelRules(Rules[PriorityLevelConfiguration]):
    resets = METADATA_STAYS

    def default(self, obj: PriorityLevelConfiguration) -> None:
        default_level(obj)

    def validate(self, obj: PriorityLevelConfiguration) -> list[FieldError]:
        return flowcontrol.validate_level(obj)

    def prepare_status_update(self, new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> list[FieldError]:
        return flowcontrol.validate_conditions(new.status.conditions)
