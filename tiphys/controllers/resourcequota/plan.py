"""Desired status of a quota. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tiphys.api.core.v1 import Pod, ResourceQuota, ResourceQuotaStatus
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import ZERO, compare
from tiphys.api.quota.amounts import Amounts, only, plus
from tiphys.api.quota.evaluators import Evaluator, gone_at
from tiphys.api.quota.scopes import matches, requirements


def counted(quota: ResourceQuota, evaluator: Evaluator, objects: Iterable[Any], now: datetime) -> Amounts:
    """Return the usage of a quota by objects of one kind; unused resources are zero."""
    names = evaluator.resources(quota.spec.hard)
    used: Amounts = dict.fromkeys(names, ZERO)
    conditions = requirements(quota)
    for obj in objects:
        if all(matches(condition, obj) for condition in conditions):
            used = plus(used, only(evaluator.usage(obj, now), names))
    return used


def status(quota: ResourceQuota, usage: Mapping[str, Quantity], recent: Mapping[str, Quantity]) -> ResourceQuotaStatus:
    """Return the status for the counted usage.

    `recent` is the sum of the latest charges. Its objects may not be stored yet, so found usage is only believed to have shrunk by
    what remains when they are added to it. Resources of which nothing is known keep what they had.
    """
    hard, before = quota.spec.hard, quota.status.used
    used: Amounts = {}
    for name in hard:
        if name not in usage:
            if name in before:
                used[name] = before[name]
            continue
        used[name] = usage[name]
        if name in recent and name in before:
            cautious = plus({name: usage[name]}, {name: recent[name]})[name]
            used[name] = _largest(usage[name], _smallest(before[name], cautious))
    return ResourceQuotaStatus(hard=dict(hard), used=used)


def _largest(left: Quantity, right: Quantity) -> Quantity:
    return left if compare(left, right) >= 0 else right


def _smallest(left: Quantity, right: Quantity) -> Quantity:
    return left if compare(left, right) <= 0 else right


def next_release(pods: Iterable[Pod], now: datetime) -> float | None:
    """Return the seconds until the first terminating pod stops being charged although it still exists."""
    moments = [gone for pod in pods if (gone := gone_at(pod)) is not None and gone >= now]
    return (min(moments) - now).total_seconds() + 1.0 if moments else None
