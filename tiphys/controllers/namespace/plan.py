"""Status of a namespace that is being deleted ("Namespaces"). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import time
from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import KubeObject

FINALIZER = "kubernetes"
"""Finalizer in a namespace's spec that represents its contents."""


class Content(NamedTuple):
    """Remaining contents of a namespace after deletion was requested for all of them."""

    counts: Mapping[str, int]
    """Resource (`deployments.apps`) to the number of objects left."""
    finalizers: Mapping[str, int]
    """Finalizer to the number of objects that it holds."""
    errors: Mapping[str, str]
    """Resource to its error."""
    grace: float
    """Longest remaining grace period of a pod, in seconds."""

    @property
    def is_empty(self) -> bool:
        return not self.counts and not self.errors


def content_kinds(scheme: Scheme) -> list[Kind[KubeObject]]:
    """Return the kinds that a namespace can contain: one for each storage.

    Pods go first ("KEP-5080: Ordered Namespace Deletion"): what protects them, such as network policies, must outlive them. Events go
    last, since deletions make some.
    """
    kinds = [kind for kind in scheme if kind.namespaced and kind.stored is None and {"list", "delete"} <= set(kind.verbs)]
    return sorted(kinds, key=lambda kind: {"pods": 0, "events": 2}.get(kind.resource, 1))


def summarize(left: Mapping[str, Sequence[KubeObject]], errors: Mapping[str, str]) -> Content:
    """Summarize the objects that remain, as listed."""
    finalizers: Counter[str] = Counter()
    grace = 0.0
    for objs in left.values():
        for obj in objs:
            finalizers.update(obj.metadata.finalizers)
            grace = max(grace, float(obj.metadata.deletionGracePeriodSeconds or 0))
    return Content({resource: len(objs) for resource, objs in left.items() if objs}, finalizers, errors, grace)


def status(namespace: core.Namespace, content: Content, now: datetime) -> core.NamespaceStatus:
    """Return the status of a namespace with these contents."""
    fine = {
        "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        "NamespaceDeletionContentFailure": ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
        "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    }
    wrong = _problems(content)
    conditions = [condition for condition in namespace.status.conditions if condition.type not in fine]
    for type_, (reason, message) in fine.items():
        value = "True" if type_ in wrong else "False"
        reason, message = wrong.get(type_, (reason, message))
        known = next((condition for condition in namespace.status.conditions if condition.type == type_), None)
        since = known.lastTransitionTime if known is not None and known.status == value else time(now)
        conditions.append(core.NamespaceCondition(type=type_, status=value, lastTransitionTime=since, reason=reason, message=message))
    return core.NamespaceStatus(phase="Terminating", conditions=conditions)


def _problems(content: Content) -> dict[str, tuple[str, str]]:
    wrong: dict[str, tuple[str, str]] = {}
    if content.errors:
        listed = ", ".join(content.errors[resource] for resource in sorted(content.errors))
        text = f"Failed to delete all resource types, {len(content.errors)} remaining: {listed}"
        wrong["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", text)
    if content.counts:
        listed = ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(content.counts.items()))
        wrong["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {listed}")
    if content.finalizers:
        listed = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(content.finalizers.items()))
        wrong["NamespaceFinalizersRemaining"] = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {listed}",
        )
    return wrong
