"""Selectors of devices: expressions over `device` ("CEL selectors" in "Dynamic Resource Allocation")."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from tiphys.api.expressions.ip import ADDRESSES
from tiphys.api.expressions.quantity import QUANTITIES
from tiphys.api.expressions.semver import SEMVERS
from tiphys.api.expressions.semver import parse as parse_version
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.quantity import parse as parse_quantity
from tiphys.api.resource.v1 import Device, DeviceAttribute
from tiphys.cel.environment import Environment, Program
from tiphys.cel.errors import EvaluationError

MAX_COST: Final = 1_000_000
LONGEST: Final = 10 << 10
"""Characters of an expression, at most."""
_KNOWN = 512 << 10
"""Characters of all compiled expressions that are kept."""
_MOST = 32
"""Attributes and capacities of a device."""


@cache
def environment() -> Environment:
    """Return the environment of selectors. Each field of `device` is a variable, so the checker knows which there are."""
    return Environment(
        {
            "device.driver": "string",
            "device.allowMultipleAllocations": "bool",
            "device.attributes": "map(string, map(string, dyn))",
            "device.capacity": "map(string, map(string, kubernetes.Quantity))",
        },
        (QUANTITIES, SEMVERS, ADDRESSES),
        sizes={"device.driver": 63, "device.allowMultipleAllocations": 1, "device.attributes": _MOST, "device.capacity": _MOST},
    )


class Selector:
    """A compiled selector."""

    def __init__(self, program: Program) -> None:
        self.program = program
        domains: set[str] = set()
        guarded: set[str] = set()
        for part in program.tree.walk():
            first = part.parts[0].text if part.parts else None
            if part.name == "_[_]" and part.parts[1].text is not None:
                domains.add(part.parts[1].text)
            elif part.name == "@in" and first is not None:
                guarded.add(first)
        self._defaults = {domain: dict[str, Any]() for domain in domains - guarded}
        """A device's attributes in a domain where it has none are empty, so `has` and `?` work there; `in` tells them apart."""

    def matches(self, variables: Mapping[str, Any]) -> bool:
        """Return whether the selector chooses a device (its `device_variables`). Raises EvaluationError."""
        value = self.program.evaluate(
            {
                **variables,
                "device.attributes": {**self._defaults, **variables["device.attributes"]},
                "device.capacity": {**self._defaults, **variables["device.capacity"]},
            }
        )
        if not isinstance(value, bool):
            raise EvaluationError(f"CEL result of type {type(value).__name__} could not be converted to bool")
        return value


@cached(heaviest=LONGEST, weight=_KNOWN)
def compile_selector(text: str) -> Selector:
    """Compile a selector. Raises CompilationError, or TooComplex."""
    return Selector(environment().compile(text, expects=("bool", "dyn"), limit=MAX_COST))


def device_variables(driver: str, device: Device) -> dict[str, Any]:
    """Return what selectors see of a device. Names without a domain are in the driver's."""
    attributes: dict[str, dict[str, Any]] = {}
    for name, attribute in device.attributes.items():
        domain, short = qualified(name, driver)
        value = attribute_value(attribute)
        attributes.setdefault(domain, {})[short] = parse_version(value[1]) if isinstance(value, tuple) else value
    capacity: dict[str, dict[str, Any]] = {}
    for name, amount in device.capacity.items():
        domain, short = qualified(name, driver)
        capacity.setdefault(domain, {})[short] = parse_quantity(amount.value or "0")
    return {
        "device.driver": driver,
        "device.allowMultipleAllocations": bool(device.allowMultipleAllocations),
        "device.attributes": attributes,
        "device.capacity": capacity,
    }


def qualified(name: str, driver: str) -> tuple[str, str]:
    """Return domain and name of an attribute or a capacity of a driver's device."""
    domain, mark, short = name.partition("/")
    return (domain, short) if mark else (driver, name)


def attribute_value(attribute: DeviceAttribute) -> int | bool | str | tuple[str, str] | None:
    """Return the value of an attribute; a version as `("version", TEXT)`, which equals no text. None for lists, which 1.36 has as alpha."""
    if attribute.version is not None:
        return "version", attribute.version
    for value in (attribute.bool_, attribute.int_, attribute.string):
        if value is not None:
            return value
    return None
