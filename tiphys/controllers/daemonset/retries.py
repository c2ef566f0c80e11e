"""Delays before failed daemon pods are replaced: a node that refuses a pod would refuse the next one just as quickly."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.aio.backoff import BackoffPolicy
from tiphys.runtime import Key

POLICY = BackoffPolicy(first=1.0, cap=900.0)
FORGOTTEN = 2 * POLICY.cap
"""Seconds without a failure after which delays begin anew."""


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Retries:
    """Failures of pods by DaemonSet and node, in memory: after a restart the first retry is immediate. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._sets: dict[Key, tuple[object, dict[str, _Failures]]] = {}

    def wait(self, key: Key, version: object, node: str, now: float) -> float:
        """Return the seconds until a failed pod on a node may be replaced, 0 for now. Another `version` of the DaemonSet begins anew."""
        failures = self._of(key, version).get(node)
        if failures is None or now - failures.last > FORGOTTEN:
            return 0.0
        return max(failures.last + POLICY.delay(failures.count - 1) - now, 0.0)

    def record(self, key: Key, version: object, node: str, now: float) -> None:
        """Record that a failed pod on a node is replaced now."""
        failures = self._of(key, version)
        for name in [name for name, known in failures.items() if now - known.last > FORGOTTEN]:
            del failures[name]
        known = failures.get(node)
        failures[node] = _Failures(known.count + 1 if known is not None else 1, now)

    def forget(self, key: Key) -> None:
        """Drop what is known about a DaemonSet that is gone."""
        self._sets.pop(key, None)

    def _of(self, key: Key, version: object) -> dict[str, _Failures]:
        known = self._sets.get(key)
        if known is None or known[0] != version:
            known = self._sets[key] = (version, {})
        return known[1]
