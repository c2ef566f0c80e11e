"""A small scheme for tests that need no more than a few kinds, and objects to put in it."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta import v1 as meta

TYPES = (core.Pod, core.ConfigMap, core.Event, core.Node, core.Namespace, apps.ReplicaSet, coordination.Lease)


def small_scheme() -> Scheme:
    """Some of the kinds that are served, with their rules."""
    return Scheme(SCHEME.of(type_) for type_ in TYPES)


def pod(name: str, namespace: str = "default", *, node: str = "", labels: dict[str, str] | None = None) -> core.Pod:
    return core.Pod(
        metadata=meta.ObjectMeta(name=name, namespace=namespace, labels=labels or {}),
        spec=core.PodSpec(nodeName=node, containers=[core.Container(name="main", image="busybox")]),
    )


def config(name: str, namespace: str = "default", **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace=namespace), data=data)


def replica_set(name: str, replicas: int, namespace: str = "default") -> apps.ReplicaSet:
    labels = {"app": name}
    template = core.PodTemplateSpec(metadata=meta.ObjectMeta(labels=labels), spec=pod("").spec)
    return apps.ReplicaSet(
        metadata=meta.ObjectMeta(name=name, namespace=namespace),
        spec=apps.ReplicaSetSpec(replicas=replicas, selector=meta.LabelSelector(matchLabels=labels), template=template),
    )
