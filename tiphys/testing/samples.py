"""A small scheme for tests that need no more than a few kinds, and objects to put in it."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.api.scheme import Kind, Rules, Scheme, Subresource


class PodRules(Rules[core.Pod]):
    def grace_period(self, obj: core.Pod, asked: int | None) -> int | None:
        if obj.spec is None or not obj.spec.nodeName:
            return 0
        return asked if asked is not None else 30


STATUS = (Subresource("status"),)


def small_scheme() -> Scheme:
    return Scheme(
        [
            Kind(
                core.Pod,
                "pods",
                rules=PodRules(),
                subresources=STATUS,
                selectable={"spec.nodeName": lambda pod: pod.spec.nodeName if pod.spec else ""},
            ),
            Kind(core.ConfigMap, "configmaps"),
            Kind(core.Event, "events"),
            Kind(core.Node, "nodes", namespaced=False, subresources=STATUS),
            Kind(core.Namespace, "namespaces", namespaced=False, subresources=STATUS),
            Kind(apps.ReplicaSet, "replicasets", group="apps", subresources=(*STATUS, Subresource("scale"))),
            Kind(coordination.Lease, "leases", group="coordination.k8s.io"),
        ]
    )


def pod(name: str, namespace: str = "default", *, node: str = "", labels: dict[str, str] | None = None) -> core.Pod:
    return core.Pod(
        metadata=meta.ObjectMeta(name=name, namespace=namespace, labels=labels or {}),
        spec=core.PodSpec(nodeName=node, containers=[core.Container(name="main", image="busybox")]),
    )


def config(name: str, namespace: str = "default", **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=meta.ObjectMeta(name=name, namespace=namespace), data=data)
