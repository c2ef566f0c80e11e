"""Objects for tests that need any of their kind."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta


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
