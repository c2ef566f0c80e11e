"""Tables of flow schemas and priority levels."""

from __future__ import annotations

from tiphys.api.columns.base import AGE, NAME, NONE, cell
from tiphys.api.flowcontrol.v1 import FlowSchema, PriorityLevelConfiguration
from tiphys.api.machinery.scheme import Column


def _distinguisher(schema: FlowSchema) -> str:
    return schema.spec.distinguisherMethod.type if schema.spec.distinguisherMethod is not None else NONE


def _dangling(schema: FlowSchema) -> str:
    return next((condition.status for condition in schema.status.conditions if condition.type == "Dangling"), "?")


FLOW_SCHEMAS = (
    NAME,
    Column("PriorityLevel", cell(lambda obj: obj.spec.priorityLevelConfiguration.name), description="The level of its requests."),
    Column("MatchingPrecedence", cell(lambda obj: obj.spec.matchingPrecedence), description="Lower ones are asked first."),
    Column("DistinguisherMethod", cell(_distinguisher), description="What tells one flow from another."),
    AGE,
    Column("MissingPL", cell(_dangling), description="Whether the priority level is missing or broken."),
)


def _shares(level: PriorityLevelConfiguration) -> int | str | None:
    return level.spec.limited.nominalConcurrencyShares if level.spec.limited is not None else NONE


def _queuing(level: PriorityLevelConfiguration, field: str) -> int | str:
    limited = level.spec.limited
    queuing = limited.limitResponse.queuing if limited is not None else None
    value: int | str = NONE if queuing is None else getattr(queuing, field)
    return value


PRIORITY_LEVELS = (
    NAME,
    Column("Type", cell(lambda obj: obj.spec.type), description="Limited, or Exempt from all limits."),
    Column("NominalConcurrencyShares", cell(_shares), description="Its part of the server's seats."),
    Column("Queues", cell(lambda obj: _queuing(obj, "queues")), description="How many queues it has."),
    Column("HandSize", cell(lambda obj: _queuing(obj, "handSize")), description="How many of them one flow may use."),
    Column("QueueLengthLimit", cell(lambda obj: _queuing(obj, "queueLengthLimit")), description="How many requests wait in one queue."),
    AGE,
)
