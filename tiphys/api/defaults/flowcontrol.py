"""Defaults of flow schemas and priority levels."""

from __future__ import annotations

from tiphys.api.flowcontrol.v1 import FlowSchema, PriorityLevelConfiguration

DEFAULT_PRECEDENCE = 1000
DEFAULT_SHARES = 30
DEFAULT_QUEUES, DEFAULT_HAND, DEFAULT_LENGTH = 64, 8, 50


def default_flow_schema(schema: FlowSchema) -> None:
    schema.spec.matchingPrecedence = schema.spec.matchingPrecedence or DEFAULT_PRECEDENCE


def default_level(level: PriorityLevelConfiguration) -> None:
    exempt, limited = level.spec.exempt, level.spec.limited
    if exempt is not None:
        exempt.nominalConcurrencyShares = exempt.nominalConcurrencyShares or 0
        exempt.lendablePercent = exempt.lendablePercent or 0
    if limited is not None:
        if limited.nominalConcurrencyShares is None:
            limited.nominalConcurrencyShares = DEFAULT_SHARES
        limited.lendablePercent = limited.lendablePercent or 0
        queuing = limited.limitResponse.queuing
        if queuing is not None:
            queuing.queues = queuing.queues or DEFAULT_QUEUES
            queuing.handSize = queuing.handSize or DEFAULT_HAND
            queuing.queueLengthLimit = queuing.queueLengthLimit or DEFAULT_LENGTH
