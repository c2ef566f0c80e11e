"""CSINode: defaults, validation, columns and registration."""

from __future__ import annotations

import msgspec

from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.volumes.sources import driver_name
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import duplicate, invalid, required
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.rules.basics import Errors, immutable, label_name, non_negative
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.shared import MAX_NODE_ID
from tiphys.api.storage.v1 import CSINode, CSINodeDriver


def validate_node(value: CSINode) -> Errors:
    """Return the mistakes in the drivers of a node."""
    errors: Errors = []
    seen: set[str] = set()
    for index, driver in enumerate(value.spec.drivers or []):
        path = f"spec.drivers[{index}]"
        driver_name(errors, f"{path}.name", driver.name)
        _node_driver(errors, path, driver)
        if driver.name in seen:
            errors.append(duplicate(f"{path}.name", driver.name))
        seen.add(driver.name)
    return errors


def _node_driver(errors: Errors, path: str, driver: CSINodeDriver) -> None:
    if not driver.nodeID:
        errors.append(required(f"{path}.nodeID"))
    elif len(driver.nodeID.encode()) > MAX_NODE_ID:
        errors.append(invalid(f"{path}.nodeID", driver.nodeID, f"must be {MAX_NODE_ID} characters or less"))
    if driver.allocatable is not None:
        non_negative(errors, f"{path}.allocatable.count", driver.allocatable.count)
    keys: set[str] = set()
    for key in driver.topologyKeys or []:
        if not key:
            errors.append(required(path))
        if key in keys:
            errors.append(duplicate(path, key))
        keys.add(key)
        label_name(errors, path, key)


def validate_node_update(new: CSINode, old: CSINode) -> Errors:
    """Drivers come and go, but of one that stays only the number of volumes may change."""
    errors: Errors = []
    before = {driver.name: driver for driver in old.spec.drivers or []}
    for driver in new.spec.drivers or []:
        if driver.name in before:
            now, then = (msgspec.structs.replace(item, allocatable=None) for item in (driver, before[driver.name]))
            immutable(errors, "spec.drivers", now, then)
    return errors


class CSINodeRules(Uncounted[CSINode]):
    needs_version = True

    validate = staticmethod(validate_node)
    validate_update = staticmethod(validate_node_update)


COLUMNS = (
    NAME,
    Column("Drivers", cell(lambda obj: len(obj.spec.drivers or ())), type="integer", description="How many drivers it has."),
    AGE,
)

CSI_NODES: Kind[storage.CSINode] = Kind(
    type=storage.CSINode,
    plural="csinodes",
    rules=CSINodeRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    shown_when_deleted=True,
)
