"""Numbers that may be percentages of another number. Pure."""

from __future__ import annotations

from tiphys.api.machinery.base import IntOrString


def scaled(value: IntOrString | None, total: int, *, up: bool) -> int:
    """`value` itself, or that percentage of `total`, rounded up or down; None is 0. Raises ValueError for other text."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(f"{value!r} is neither a number nor a percentage")
    part = int(value[:-1]) * total
    return -(-part // 100) if up else part // 100
