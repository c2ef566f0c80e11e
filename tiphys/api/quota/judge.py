"""Admission of a write by the quotas of its namespace, and its addition to their usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tiphys.api.core.v1 import ResourceQuota
from tiphys.api.quota import scopes
from tiphys.api.quota.amounts import Amounts, above, format_amounts, names, only, plus, rise
from tiphys.api.quota.evaluators import Evaluator


class Refused(Exception):
    """A quota does not allow the write; the message says which and why, in the API's words."""


def charges(
    quotas: Sequence[ResourceQuota], evaluator: Evaluator, new: Any, old: Any, now: datetime, *, enforce: bool = True
) -> dict[str, Amounts]:
    """The new `status.used` of each quota that a write changes, by the quota's name. Raises Refused.

    `old` is None for a create. A quota whose status has no limits yet concerns nothing. Without `enforce` usage only is computed (for
    writes of a status, which cannot be refused for it).
    """
    concerned: list[ResourceQuota] = []
    for quota in quotas:
        resources = evaluator.resources(quota.status.hard)
        if not resources or not _covers(quota, new):
            continue
        if lacking := evaluator.lacking(resources, new):
            raise Refused(f"failed quota: {quota.metadata.name}: {lacking}")
        if any(name not in quota.status.used for name in resources):
            raise Refused(f"status unknown for quota: {quota.metadata.name}, resources: {names(resources)}")
        concerned.append(quota)
    if not concerned:
        return {}
    usage = evaluator.usage(new, now)
    if negative := [name for name, quantity in usage.items() if quantity.startswith("-")]:
        raise Refused(f"quota usage is negative for resource(s): {names(negative)}")
    before = evaluator.usage(old, now) if old is not None else {}
    result: dict[str, Amounts] = {}
    for quota in concerned:
        hard, used = quota.status.hard, quota.status.used
        # What did not fall under the quota before is new to it.
        added = only(rise(usage, before if old is not None and _covers(quota, old) else {}), hard)
        if not added:
            continue
        after = plus(used, added)
        if enforce and (exceeded := above(only(after, added), hard)):
            raise Refused(
                f"exceeded quota: {quota.metadata.name}, requested: {format_amounts(only(added, exceeded))},"
                f" used: {format_amounts(only(used, exceeded))}, limited: {format_amounts(only(hard, exceeded))}"
            )
        result[quota.metadata.name] = after
    return result


def _covers(quota: ResourceQuota, obj: Any) -> bool:
    return all(scopes.matches(requirement, obj) for requirement in scopes.requirements(quota))
