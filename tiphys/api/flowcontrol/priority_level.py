"""PriorityLevel: defaults, validation, columns and registration."""

from __future__ import annotations

import math

import msgspec

from tiphys.api.flowcontrol import GROUP
from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.flowcontrol.conditions import NOT_NEGATIVE, validate_conditions
from tiphys.api.flowcontrol.v1 import (
    ExemptPriorityLevelConfiguration,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationSpec,
    QueuingConfiguration,
)
from tiphys.api.helpers.flow_levels import EXEMPT, MANDATORY_LEVELS
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind, Rules
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors

DEFAULT_SHARES = 30
DEFAULT_QUEUES, DEFAULT_HAND, DEFAULT_LENGTH = 64, 8, 50


def default_level(level: PriorityLevelConfiguration) -> None:
    """Default shares, lendable percent and queues ("API Priority and Fairness")."""
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


MAX_QUEUES = 10_000_000

MAX_HASH_BITS = 60
"""Bits of a flow's hash that may choose its hand of queues."""

_ZERO_SHARES = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"


def validate_level(level: PriorityLevelConfiguration) -> Errors:
    """Return the mistakes in a priority level ("API Priority and Fairness")."""
    errors: Errors = []
    name, spec = level.metadata.name, level.spec
    if _ZERO_SHARES in level.metadata.annotations:
        errors.append(forbidden("metadata.annotations", f"annotation '{_ZERO_SHARES}' is forbidden"))
    _level_spec(errors, name, spec)
    fixed = MANDATORY_LEVELS.get(name)
    if fixed is not None:
        if name == EXEMPT:
            if msgspec.structs.replace(spec, exempt=fixed.spec.exempt) != fixed.spec:
                message = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
                errors.append(invalid("spec", spec, message))
        elif spec != fixed.spec:
            errors.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return errors + validate_conditions(level.status.conditions)


def _level_spec(errors: Errors, name: str, spec: PriorityLevelConfigurationSpec) -> None:
    if (name == EXEMPT) != (spec.type == "Exempt"):
        errors.append(invalid("spec.type", spec.type, "must be 'Exempt' if and only if `name` is 'exempt'"))
    match spec.type:
        case "Exempt":
            if spec.limited is not None:
                errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
            if spec.exempt is not None:
                _shares(errors, "spec.exempt", spec.exempt)
        case "Limited":
            if spec.exempt is not None:
                errors.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
            if spec.limited is None:
                errors.append(required("spec.limited", "must not be empty when type is Limited"))
            else:
                _limited(errors, spec.limited)
        case _:
            errors.append(not_supported("spec.type", spec.type, ("Exempt", "Limited")))


def _shares(errors: Errors, path: str, level: LimitedPriorityLevelConfiguration | ExemptPriorityLevelConfiguration) -> None:
    if level.nominalConcurrencyShares is not None and level.nominalConcurrencyShares < 0:
        errors.append(invalid(f"{path}.nominalConcurrencyShares", level.nominalConcurrencyShares, NOT_NEGATIVE))
    if level.lendablePercent is not None and not 0 <= level.lendablePercent <= 100:
        errors.append(invalid(f"{path}.lendablePercent", level.lendablePercent, "must be between 0 and 100, inclusive"))


def _limited(errors: Errors, limited: LimitedPriorityLevelConfiguration) -> None:
    path = "spec.limited"
    _shares(errors, path, limited)
    _response(errors, f"{path}.limitResponse", limited.limitResponse)
    if limited.borrowingLimitPercent is not None and limited.borrowingLimitPercent < 0:
        errors.append(invalid(f"{path}.borrowingLimitPercent", limited.borrowingLimitPercent, f"if specified, {NOT_NEGATIVE}"))


def _response(errors: Errors, path: str, response: LimitResponse) -> None:
    match response.type:
        case "Reject":
            if response.queuing is not None:
                errors.append(forbidden(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited"))
        case "Queue":
            if response.queuing is None:
                errors.append(required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited"))
            else:
                _queuing(errors, f"{path}.queuing", response.queuing)
        case _:
            errors.append(not_supported(f"{path}.type", response.type, ("Queue", "Reject")))


def _queuing(errors: Errors, path: str, queuing: QueuingConfiguration) -> None:
    queues, hand = queuing.queues, queuing.handSize
    if queuing.queueLengthLimit <= 0:
        errors.append(invalid(f"{path}.queueLengthLimit", queuing.queueLengthLimit, "must be positive"))
    if queues <= 0:
        errors.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > MAX_QUEUES:
        errors.append(invalid(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}"))
    if hand <= 0:
        errors.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        errors.append(invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif math.ceil(math.log2(queues) * hand) > MAX_HASH_BITS:
        message = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        errors.append(invalid(f"{path}.handSize", hand, message))


class PriorityLevelRules(Rules[PriorityLevelConfiguration]):
    resets = METADATA_STAYS

    default = staticmethod(default_level)
    validate = staticmethod(validate_level)

    def prepare_status_update(self, new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations

    def validate_status_update(self, new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> list[FieldError]:
        return validate_conditions(new.status.conditions)


def _shares_cell(level: PriorityLevelConfiguration) -> int | str | None:
    return level.spec.limited.nominalConcurrencyShares if level.spec.limited is not None else NONE


def _queuing_cell(level: PriorityLevelConfiguration, field: str) -> int | str:
    limited = level.spec.limited
    queuing = limited.limitResponse.queuing if limited is not None else None
    value: int | str = NONE if queuing is None else getattr(queuing, field)
    return value


COLUMNS = (
    NAME,
    Column("Type", cell(lambda obj: obj.spec.type), description="Limited, or Exempt from all limits."),
    Column("NominalConcurrencyShares", cell(_shares_cell), description="Its part of the server's seats."),
    Column("Queues", cell(lambda obj: _queuing_cell(obj, "queues")), description="How many queues it has."),
    Column("HandSize", cell(lambda obj: _queuing_cell(obj, "handSize")), description="How many of them one flow may use."),
    Column(
        "QueueLengthLimit", cell(lambda obj: _queuing_cell(obj, "queueLengthLimit")), description="How many requests wait in one queue."
    ),
    AGE,
)

PRIORITY_LEVELS: Kind[flow.PriorityLevelConfiguration] = Kind(
    type=flow.PriorityLevelConfiguration,
    plural="prioritylevelconfigurations",
    rules=PriorityLevelRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)
