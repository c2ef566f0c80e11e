"""Defaults of amounts of resources."""

from __future__ import annotations

from decimal import Decimal

from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import format_value, milli, parse


def round_to_milli(resources: dict[str, Quantity]) -> None:
    """Round amounts up to thousandths, the finest unit of resources."""
    for name, quantity in resources.items():
        if quantity[-1:] in ("n", "u") or "e-" in quantity:
            resources[name] = format_value(Decimal(milli(quantity)) / 1000) if parse(quantity) else quantity
