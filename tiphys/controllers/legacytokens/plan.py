"""Token Secrets of service accounts that nobody uses ("Legacy ServiceAccount token cleaner"). Pure.

Only tokens that were generated with their service account are cleaned up: those that it lists among its `secrets`. One that has been unused
for the period is marked as invalid first, and the API server refuses it from then on; after the same period again it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.durations import later

TYPE: Final = "kubernetes.io/service-account-token"
ACCOUNT: Final = "kubernetes.io/service-account.name"
ACCOUNT_UID: Final = "kubernetes.io/service-account.uid"
LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"

_DAY: Final = 86400.0
_REFERENCES: Final = frozenset(("imagePullSecrets", "nodePublishSecretRef", "secret", "secretKeyRef", "secretRef"))
"""Fields of a pod whose `name` is that of a Secret."""


class Plan(NamedTuple):
    """Secrets to mark as invalid, and those to delete."""

    mark: list[core.Secret]
    delete: list[core.Secret]


def date(text: str | None) -> datetime | None:
    """Return the beginning of a day in UTC, None for a text that is not a date (YYYY-MM-DD)."""
    if text is None or len(text) != len("YYYY-MM-DD"):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def begins(tracking: core.ConfigMap | None, period: float) -> datetime | None:
    """Return the time at which uses of tokens have been recorded for the period (in seconds); None when they are not recorded."""
    since = date(tracking.data.get("since")) if tracking is not None else None
    # The day on which recording began does not count.
    return later(since, _DAY + period) if since is not None else None


def unused(secrets: Iterable[core.Secret], now: datetime, period: float) -> list[core.Secret]:
    """Return the token Secrets that are older than the period and have not been used within it."""
    limit = later(now, -period)
    result = []
    for secret in secrets:
        meta = secret.metadata
        if secret.type != TYPE or meta.deletionTimestamp is not None or meta.creationTimestamp is None or meta.creationTimestamp >= limit:
            continue
        if LAST_USED in meta.labels:
            last = date(meta.labels[LAST_USED])
            if last is None or last.date() >= limit.date():
                continue
        result.append(secret)
    return result


def plan(
    candidates: Iterable[core.Secret],
    accounts: Iterable[core.ServiceAccount],
    pods: Iterable[core.Pod],
    now: datetime,
    period: float,
) -> Plan:
    """Plan the writes for unused Secrets; `accounts` and `pods` are those of their namespaces."""
    by_name = {(account.metadata.namespace, account.metadata.name): account for account in accounts}
    mounted = {(pod.metadata.namespace, name) for pod in pods for name in secret_names(pod)}
    result = Plan([], [])
    for secret in candidates:
        meta = secret.metadata
        account = by_name.get((meta.namespace, meta.annotations.get(ACCOUNT, "")))
        if (meta.namespace, meta.name) in mounted or not _is_generated(secret, account):
            continue
        marked = date(meta.labels.get(INVALID_SINCE))
        if marked is None:
            result.mark.append(secret)
        elif marked.date() < (later(now, -period)).date():
            result.delete.append(secret)
    return result


def _is_generated(secret: core.Secret, account: core.ServiceAccount | None) -> bool:
    if account is None:
        return False
    uid = secret.metadata.annotations.get(ACCOUNT_UID, "")
    return uid in ("", account.metadata.uid) and any(one.name == secret.metadata.name for one in account.secrets)


def secret_names(pod: core.Pod) -> set[str]:
    """Return the names of all Secrets that a pod uses, in volumes, in environments and for pulling images."""
    names: set[str] = set()
    _collect(msgspec.to_builtins(pod.spec), names)
    return names


def _collect(node: Any, names: set[str]) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, names)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "secretName" and isinstance(value, str):
                names.add(value)
            elif key in _REFERENCES:
                names.update(one["name"] for one in (value if isinstance(value, list) else [value]) if one.get("name"))
            _collect(value, names)
