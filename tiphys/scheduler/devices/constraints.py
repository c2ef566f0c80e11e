"""Constraints on the devices of a claim: attributes that all have in common, or that differ between all. Pure."""

from __future__ import annotations

from typing import Final

from tiphys.api.resource.selectors import attribute_value
from tiphys.api.resource.v1 import Device, DeviceConstraint

Value = tuple[str, object]
"""Type and value of an attribute: 1 and true are not the same."""
_MISSING: Final = None


def find_attribute(device: Device, driver: str, name: str) -> Value | None:
    """Return an attribute by its full name, which may be in the driver's own domain; None if the device has none."""
    attribute = device.attributes.get(name)
    if attribute is None:
        domain, _, short = name.partition("/")
        attribute = device.attributes.get(short) if domain == driver else None
    value = attribute_value(attribute) if attribute is not None else None
    return (type(value).__name__, value) if value is not None else _MISSING


class Constraint:
    """Constraint with the values of the devices chosen so far."""

    def __init__(self, constraint: DeviceConstraint) -> None:
        self._requests = frozenset(constraint.requests)
        self._distinct = constraint.matchAttribute is None
        self._name = constraint.matchAttribute or constraint.distinctAttribute or ""
        self._values: list[Value] = []

    def add(self, request: str, device: Device, driver: str) -> bool:
        """Count a device for a request (`NAME` or `NAME/ALTERNATIVE`); return False, and do nothing, if that would break the constraint."""
        if not self._concerns(request):
            return True
        value = find_attribute(device, driver, self._name)
        if value is None or (value in self._values) != (bool(self._values) and not self._distinct):
            return False
        self._values.append(value)
        return True

    def remove(self, request: str) -> None:
        """Undo the last `add` for a request."""
        if self._concerns(request):
            self._values.pop()

    def _concerns(self, request: str) -> bool:
        return not self._requests or request in self._requests or request.partition("/")[0] in self._requests
