"""Validation of runtime classes."""

from __future__ import annotations

from tiphys.api.core.v1 import ResourceRequirements
from tiphys.api.machinery.errors import duplicate, required
from tiphys.api.node.v1 import RuntimeClass
from tiphys.api.rules.basics import Errors, dns_label, immutable, labels
from tiphys.api.validation import resources, scheduling


def validate(value: RuntimeClass) -> Errors:
    errors: Errors = []
    if value.handler:
        dns_label(errors, "handler", value.handler)
    else:
        errors.append(required("handler"))
    if value.overhead is not None:
        resources.requirements(errors, "overhead", ResourceRequirements(limits=value.overhead.podFixed), frozenset())
    if value.scheduling is not None:
        labels(errors, "scheduling.nodeSelector", value.scheduling.nodeSelector)
        scheduling.tolerations(errors, "scheduling.tolerations", value.scheduling.tolerations)
        seen = set()
        for index, toleration in enumerate(value.scheduling.tolerations):
            key = (toleration.key, toleration.operator, toleration.value, toleration.effect)
            if key in seen:
                errors.append(duplicate(f"scheduling.tolerations[{index}]", toleration))
            seen.add(key)
    return errors


def validate_update(new: RuntimeClass, old: RuntimeClass) -> Errors:
    errors: Errors = []
    immutable(errors, "handler", new.handler, old.handler)
    return errors
