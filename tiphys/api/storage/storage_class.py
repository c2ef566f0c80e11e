"""StorageClass: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core.v1 import TopologySelectorTerm
from tiphys.api.helpers.node_labels import DEPRECATED
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import duplicate, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, immutable, label_name
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.csi_storage_capacity import class_name
from tiphys.api.storage.shared import parameters, provisioner
from tiphys.api.storage.v1 import StorageClass


def default_class(value: StorageClass) -> None:
    """Delete volumes after use, and bind claims at once ("Storage Classes")."""
    if value.reclaimPolicy is None:
        value.reclaimPolicy = "Delete"
    if value.volumeBindingMode is None:
        value.volumeBindingMode = "Immediate"


_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")


def validate_class(value: StorageClass) -> Errors:
    """Return the mistakes in a storage class ("Storage Classes")."""
    errors: Errors = []
    provisioner(errors, "provisioner", value.provisioner)
    parameters(errors, "parameters", value.parameters)
    if value.reclaimPolicy and value.reclaimPolicy not in ("Delete", "Retain"):
        errors.append(not_supported("reclaimPolicy", value.reclaimPolicy, ("Delete", "Retain")))
    if value.volumeBindingMode is None:
        errors.append(required("volumeBindingMode"))
    elif value.volumeBindingMode not in _BINDING_MODES:
        errors.append(not_supported("volumeBindingMode", value.volumeBindingMode, _BINDING_MODES))
    _topologies(errors, "allowedTopologies", value.allowedTopologies)
    return errors


def validate_class_update(new: StorageClass, old: StorageClass) -> Errors:
    """Refuse changes of parameters, provisioner, reclaim policy and binding mode."""
    errors: Errors = []
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        immutable(errors, name, getattr(new, name), getattr(old, name))
    return errors


def _topologies(errors: Errors, path: str, terms: Sequence[TopologySelectorTerm]) -> None:
    """Places that do not repeat each other."""
    seen: list[dict[str, set[str]]] = []
    for index, term in enumerate(terms):
        here = f"{path}[{index}].matchLabelExpressions"
        places: dict[str, set[str]] = {}
        for number, requirement in enumerate(term.matchLabelExpressions):
            item = f"{here}[{number}]"
            if not requirement.values:
                errors.append(required(f"{item}.values"))
            values: set[str] = set()
            for position, value in enumerate(requirement.values):
                if value in values:
                    errors.append(duplicate(f"{item}.values[{position}]", value))
                values.add(value)
            label_name(errors, f"{item}.key", requirement.key)
            if requirement.key in places:
                errors.append(duplicate(f"{item}.key", requirement.key))
            places[requirement.key] = values
        if places in seen:
            errors.append(duplicate(here, ""))
        seen.append(places)


class StorageClassRules(Rules[StorageClass]):
    default = staticmethod(default_class)
    validate = staticmethod(validate_class)
    validate_update = staticmethod(validate_class_update)

    def warnings(self, obj: StorageClass, old: StorageClass | None) -> list[str]:
        return [
            f"allowedTopologies[{index}].matchLabelExpressions[{number}].key: {DEPRECATED[requirement.key]}"
            for index, term in enumerate(obj.allowedTopologies)
            for number, requirement in enumerate(term.matchLabelExpressions)
            if requirement.key in DEPRECATED
        ]


COLUMNS = (
    Column("Name", cell(class_name), format="name", description=NAME.description),
    Column("Provisioner", cell(lambda obj: obj.provisioner), description="Who makes its volumes."),
    Column("ReclaimPolicy", cell(lambda obj: obj.reclaimPolicy or "Delete"), description="Fate of volumes whose claims are deleted."),
    Column("VolumeBindingMode", cell(lambda obj: obj.volumeBindingMode or "Immediate"), description="When claims get their volumes."),
    Column("AllowVolumeExpansion", cell(lambda obj: bool(obj.allowVolumeExpansion)), description="Whether claims may grow."),
    AGE,
)

STORAGE_CLASSES: Kind[storage.StorageClass] = Kind(
    type=storage.StorageClass,
    plural="storageclasses",
    rules=StorageClassRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    short_names=("sc",),
    shown_when_deleted=True,
)
