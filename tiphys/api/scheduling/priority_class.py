"""PriorityClass: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import forbidden, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, immutable
from tiphys.api.scheduling import v1 as scheduling
from tiphys.api.scheduling.v1 import PriorityClass


def default_priority_class(priority_class: PriorityClass) -> None:
    """Preempt pods of lower priority ("Pod Priority and Preemption")."""
    if priority_class.preemptionPolicy is None:
        priority_class.preemptionPolicy = "PreemptLowerPriority"


HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def validate_priority_class(value: PriorityClass) -> Errors:
    """Return the mistakes in a priority class ("Pod Priority and Preemption")."""
    errors: Errors = []
    name = value.metadata.name
    if name.startswith("system-"):
        if message := _system_class(value):
            prefix = "priority class names with 'system-' prefix are reserved for system use only. error: "
            errors.append(forbidden("metadata.name", prefix + message))
    elif value.value > HIGHEST_USER_PRIORITY:
        errors.append(forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"))
    if value.preemptionPolicy == "":
        errors.append(required("preemptionPolicy"))
    elif value.preemptionPolicy not in (None, "PreemptLowerPriority", "Never"):
        errors.append(not_supported("preemptionPolicy", value.preemptionPolicy, ("PreemptLowerPriority", "Never")))
    return errors


def _system_class(value: PriorityClass) -> str:
    """Return how a class differs from the system's own of that name, or ""."""
    name = value.metadata.name
    if name not in SYSTEM_PRIORITIES:
        return f"{name} is not a known system priority class"
    if value.value != SYSTEM_PRIORITIES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if value.globalDefault else ""


def validate_priority_class_update(new: PriorityClass, old: PriorityClass) -> Errors:
    """Refuse changes of value and preemption policy."""
    errors: Errors = []
    if new.value != old.value:
        errors.append(forbidden("value", "may not be changed in an update."))
    immutable(errors, "preemptionPolicy", new.preemptionPolicy, old.preemptionPolicy)
    return errors


class PriorityClassRules(Rules[PriorityClass]):
    default = staticmethod(default_priority_class)

    def prepare_create(self, obj: PriorityClass) -> None:
        obj.metadata.generation = 1

    validate = staticmethod(validate_priority_class)
    validate_update = staticmethod(validate_priority_class_update)


COLUMNS = (
    NAME,
    Column("Value", cell(lambda obj: obj.value), type="integer", description="The priority of its pods."),
    Column("Global-Default", cell(lambda obj: obj.globalDefault), type="boolean", description="Whether pods get it by default."),
    AGE,
    Column("PreemptionPolicy", cell(lambda obj: obj.preemptionPolicy or ""), description="Whether its pods drive others out."),
)

PRIORITY_CLASSES: Kind[scheduling.PriorityClass] = Kind(
    type=scheduling.PriorityClass,
    plural="priorityclasses",
    rules=PriorityClassRules(),
    columns=COLUMNS,
    group="scheduling.k8s.io",
    namespaced=False,
    short_names=("pc",),
)

KINDS: tuple[Kind[Any], ...] = (PRIORITY_CLASSES,)
