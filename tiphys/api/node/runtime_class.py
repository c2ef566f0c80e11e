"""RuntimeClass: defaults, validation, columns and registration."""

from __future__ import annotations

from typing import Any

from tiphys.api.core.pods import scheduling
from tiphys.api.core.pods.resources import requirements
from tiphys.api.core.v1 import ResourceRequirements
from tiphys.api.helpers.node_labels import DEPRECATED
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import duplicate, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.node import v1 as node
from tiphys.api.node.v1 import RuntimeClass
from tiphys.api.rules.basics import Errors, dns_label, immutable, labels


def validate_runtime_class(value: RuntimeClass) -> Errors:
    """Return the mistakes in a runtime class ("Runtime Class")."""
    errors: Errors = []
    if value.handler:
        dns_label(errors, "handler", value.handler)
    else:
        errors.append(required("handler"))
    if value.overhead is not None:
        requirements(errors, "overhead", ResourceRequirements(limits=value.overhead.podFixed), frozenset())
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


def validate_runtime_class_update(new: RuntimeClass, old: RuntimeClass) -> Errors:
    """Refuse changes of the handler."""
    errors: Errors = []
    immutable(errors, "handler", new.handler, old.handler)
    return errors


class RuntimeClassRules(Rules[RuntimeClass]):
    names_finalizers = False
    create_on_update = True
    needs_version = True

    validate = staticmethod(validate_runtime_class)
    validate_update = staticmethod(validate_runtime_class_update)

    def warnings(self, obj: RuntimeClass, old: RuntimeClass | None) -> list[str]:
        if obj.scheduling is None:
            return []
        return [f"scheduling.nodeSelector: {DEPRECATED[key]}" for key in obj.scheduling.nodeSelector if key in DEPRECATED]


COLUMNS = (NAME, Column("Handler", cell(lambda obj: obj.handler), description="What runs its pods, as the runtime calls it."), AGE)

RUNTIME_CLASSES: Kind[node.RuntimeClass] = Kind(
    type=node.RuntimeClass,
    plural="runtimeclasses",
    rules=RuntimeClassRules(),
    columns=COLUMNS,
    group="node.k8s.io",
    namespaced=False,
)

KINDS: tuple[Kind[Any], ...] = (RUNTIME_CLASSES,)
