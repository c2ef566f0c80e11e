"""CSIStorageCapacity: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.volumes.shared import or_unset
from tiphys.api.helpers.node_labels import DEPRECATED, expression_warnings
from tiphys.api.machinery.columns import NAME, cell
from tiphys.api.machinery.errors import invalid
from tiphys.api.machinery.quantity import parse
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, dns_subdomain, immutable, label_selector
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.classes import is_default_class
from tiphys.api.storage.v1 import CSIStorageCapacity, StorageClass


def validate_capacity(value: CSIStorageCapacity) -> Errors:
    """Return the mistakes in a capacity ("Storage Capacity")."""
    errors: Errors = []
    label_selector(errors, "nodeTopology", value.nodeTopology)
    dns_subdomain(errors, "storageClassName", value.storageClassName)
    if value.capacity is not None and parse(value.capacity) < 0:
        errors.append(invalid("capacity", value.capacity, "must be greater than or equal to 0"))
    return errors


def validate_capacity_update(new: CSIStorageCapacity, old: CSIStorageCapacity) -> Errors:
    """Refuse changes of topology and class."""
    errors: Errors = []
    immutable(errors, "nodeTopology", new.nodeTopology, old.nodeTopology)
    immutable(errors, "storageClassName", new.storageClassName, old.storageClassName)
    return errors


class CSIStorageCapacityRules(Rules[CSIStorageCapacity]):
    needs_version = True

    validate = staticmethod(validate_capacity)
    validate_update = staticmethod(validate_capacity_update)

    def warnings(self, obj: CSIStorageCapacity, old: CSIStorageCapacity | None) -> list[str]:
        if obj.nodeTopology is None:
            return []
        labels = [f"nodeTopology.matchLabels.{key}: {DEPRECATED[key]}" for key in obj.nodeTopology.matchLabels if key in DEPRECATED]
        return [*expression_warnings("nodeTopology.matchExpressions", obj.nodeTopology.matchExpressions), *labels]


def class_name(value: StorageClass) -> str:
    """Return the name for a table, with a mark on the default class."""
    return f"{value.metadata.name} (default)" if is_default_class(value) else value.metadata.name


COLUMNS = (
    NAME,
    Column("StorageClassName", cell(lambda obj: obj.storageClassName), description="The class that it is about."),
    Column("Capacity", cell(lambda obj: or_unset(obj.capacity)), description="What is free."),
)

CSI_STORAGE_CAPACITIES: Kind[storage.CSIStorageCapacity] = Kind(
    type=storage.CSIStorageCapacity,
    plural="csistoragecapacities",
    rules=CSIStorageCapacityRules(),
    columns=COLUMNS,
    group=GROUP,
)
