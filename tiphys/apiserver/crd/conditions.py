"""Conditions of a definition: the names that it has, and whether it is served. Pure.

A name belongs to the first definition that asks for it, until given back; plural, singular and short names of a group share one space,
kind and list kind another.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from tiphys.api.apiextensions.definition import APPROVAL
from tiphys.api.apiextensions.v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionStatus,
)
from tiphys.api.machinery.base import time
from tiphys.api.machinery.conditions import is_true

Condition = CustomResourceDefinitionCondition
_IN_PROGRESS = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
_NEVER = ("False", "NeverEstablished", "resource was never established")


class Names(NamedTuple):
    """Owners of names."""

    accepted: CustomResourceDefinitionNames
    condition: tuple[str, str, str]
    """Status, reason and message of NamesAccepted."""


def names(definition: CustomResourceDefinition, others: Iterable[CustomResourceDefinition]) -> Names:
    """The names that a definition has from now on. `others` are all other definitions."""
    requested, has = definition.spec.names, definition.status.acceptedNames
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other.spec.group == definition.spec.group:
            theirs = other.status.acceptedNames
            resources |= {theirs.plural, theirs.singular, *theirs.shortNames}
            kinds |= {theirs.kind, theirs.listKind}
    accepted = msgspec.structs.replace(has)
    condition = ("True", "NoConflicts", "no conflicts found")
    for field, taken in (("plural", resources), ("singular", resources), ("shortNames", resources), ("kind", kinds), ("listKind", kinds)):
        desired, had = getattr(requested, field), getattr(has, field)
        clashes = [name for name in _new(desired, had) if name in taken]
        if clashes:
            messages = [f'"{name}" is already in use' for name in clashes]
            reason = f"{field[0].upper()}{field[1:]}Conflict"
            condition = ("False", reason, messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]")
        else:
            setattr(accepted, field, desired)
    accepted.categories = requested.categories
    return Names(accepted, condition)


def _new(desired: str | list[str], had: str | list[str]) -> list[str]:
    """The requested names that are not accepted yet."""
    if isinstance(desired, str):
        return [] if desired == had else [desired]
    return [name for name in desired if name not in had]


def served(
    definition: CustomResourceDefinition, others: Iterable[CustomResourceDefinition], now: datetime
) -> CustomResourceDefinitionStatus:
    """The status of a definition whose kinds are served, if its names allow that."""
    result = names(definition, others)
    status = msgspec.structs.replace(definition.status, acceptedNames=result.accepted)
    status.conditions = _set(status.conditions or [], "NamesAccepted", result.condition, now)
    if is_true(definition.status.conditions or (), "Established"):
        pass
    elif result.condition[0] == "True":
        established = ("True", "InitialNamesAccepted", "the initial names have been accepted")
        status.conditions = _set(status.conditions or [], "Established", established, now)
    else:
        status.conditions = _set(status.conditions or [], "Established", ("False", "NotAccepted", "not all names are accepted"), now)
    value = definition.metadata.annotations.get(APPROVAL, "")
    if value and f".{definition.spec.group}".endswith((".k8s.io", ".kubernetes.io")):
        approved = ("True", "ApprovedAnnotation", f"approved in {value}")
        bypassed = ("False", "UnapprovedAnnotation", f'not approved: "{value}"')
        policy = bypassed if value.startswith("unapproved") else approved
        status.conditions = _set(status.conditions or [], "KubernetesAPIApprovalPolicyConformant", policy, now)
    return status


def terminating(definition: CustomResourceDefinition, now: datetime) -> CustomResourceDefinitionStatus:
    """The status of a definition whose objects are being deleted."""
    status = msgspec.structs.replace(definition.status)
    progress = _IN_PROGRESS if is_true(definition.status.conditions or (), "Established") else _NEVER
    status.conditions = _set(status.conditions or [], "Terminating", progress, now)
    return status


def _set(conditions: list[Condition], type_: str, state: tuple[str, str, str], now: datetime) -> list[Condition]:
    value, reason, message = state
    known = next((one for one in conditions if one.type == type_), None)
    if known is not None and (known.status, known.reason, known.message) == state:
        return conditions
    since = known.lastTransitionTime if known is not None and known.status == value else time(now)
    condition = Condition(type=type_, status=value, lastTransitionTime=since, reason=reason, message=message)
    if known is None:
        return [*conditions, condition]
    return [condition if one is known else one for one in conditions]
