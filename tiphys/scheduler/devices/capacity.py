"""Shares of devices that several claims may have ("Consumable capacity", KEP-5075). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import family_of, format_value, parse
from tiphys.api.resource.v1 import CapacityRequestPolicy, CapacityRequirements, Device, DeviceCapacity

Amounts = Mapping[str, Decimal]
"""Amounts by name of the capacity."""
NOTHING: Final[Amounts] = {}


def share(device: Device, request: CapacityRequirements | None) -> dict[str, Decimal] | None:
    """Return what a request would take of each capacity of a device; None if the device or its policies do not allow the request."""
    wishes = request.requests if request is not None else {}
    if any(name not in device.capacity for name in wishes):
        return None
    amounts = {}
    for name, capacity in device.capacity.items():
        amount = _rounded(wishes.get(name), capacity)
        if _violates(amount, capacity.requestPolicy):
            return None
        amounts[name] = amount
    return amounts


def fits(device: Device, amounts: Amounts, *taken: Amounts) -> bool:
    """Return whether a device has room for a share besides those that are taken."""
    return all(
        amount + sum((one.get(name, Decimal(0)) for one in taken), Decimal(0)) <= _value(device.capacity[name])
        for name, amount in amounts.items()
    )


def quantities(device: Device, amounts: Amounts) -> dict[str, Quantity]:
    """Return a share as a claim's status has it."""
    return {name: format_value(amount, family_of(device.capacity[name].value or "0")) for name, amount in amounts.items()}


def _value(capacity: DeviceCapacity) -> Decimal:
    return parse(capacity.value or "0")


def _rounded(wish: Quantity | None, capacity: DeviceCapacity) -> Decimal:
    policy = capacity.requestPolicy
    if wish is None:
        return parse(policy.default) if policy is not None and policy.default is not None else _value(capacity)
    amount = parse(wish)
    if policy is None:
        return amount
    if policy.validRange is not None and policy.validRange.min is not None:
        low = parse(policy.validRange.min)
        if amount < low or policy.validRange.step is None:
            return max(amount, low)
        step = parse(policy.validRange.step)
        return low + ((amount - low) / step).to_integral_value(rounding=ROUND_CEILING) * step
    return next((value for value in map(parse, policy.validValues) if amount <= value), amount)


def _violates(amount: Decimal, policy: CapacityRequestPolicy | None) -> bool:
    if policy is None or (policy.default is not None and amount == parse(policy.default)):
        return False
    if policy.validRange is not None:
        high = policy.validRange.max
        return high is not None and amount > parse(high)
    return bool(policy.validValues) and all(amount != parse(value) for value in policy.validValues)
