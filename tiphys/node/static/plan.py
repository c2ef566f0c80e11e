"""Decides which static pods to start and to end. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from tiphys.api.core import v1 as core


class Changes(msgspec.Struct, frozen=True):
    """Uids of pods to start, and of pods to end."""

    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


def plan_static(desired: Mapping[str, core.Pod], present: Mapping[str, core.Pod], *, busy: Collection[str]) -> Changes:
    """Compare the static pods of the sources with those that are worked on; `busy` are the uids of all pods that are.

    A pod waits until the one before it of the same name is gone, so the two never hold the same ports and files.
    """
    names = {_name(pod) for pod in present.values()}
    start = tuple(uid for uid, pod in desired.items() if uid not in busy and _name(pod) not in names)
    end = tuple(uid for uid, pod in present.items() if uid not in desired and pod.metadata.deletionTimestamp is None)
    return Changes(start, end)


def _name(pod: core.Pod) -> tuple[str, str]:
    return pod.metadata.namespace, pod.metadata.name
