"""API services of the server's own group versions, and the availability of others."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.apiregistration.v1 import APIService, APIServiceCondition, APIServiceSpec
from tiphys.api.meta.v1 import ObjectMeta

MANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""Label of the API services that the server itself writes: `onstart` for versions that are always served, `true` for custom resources."""
AVAILABLE = "Available"
CUSTOM_PRIORITY = (1000, 100)

PRIORITIES: dict[str, tuple[int, int]] = {
    "v1.": (18000, 1), "v1.apps": (17800, 15), "v1.events.k8s.io": (17750, 15), "v1.authentication.k8s.io": (17700, 15),
    "v1.authorization.k8s.io": (17600, 15), "v1.autoscaling": (17500, 15), "v2.autoscaling": (17500, 30), "v1.batch": (17400, 15),
    "v1.certificates.k8s.io": (17300, 15), "v1.networking.k8s.io": (17200, 15), "v1.policy": (17100, 15),
    "v1.rbac.authorization.k8s.io": (17000, 15), "v1.storage.k8s.io": (16800, 15), "v1.apiextensions.k8s.io": (16700, 15),
    "v1.admissionregistration.k8s.io": (16700, 15), "v1.scheduling.k8s.io": (16600, 15), "v1.coordination.k8s.io": (16500, 15),
    "v1.node.k8s.io": (16300, 15), "v1.discovery.k8s.io": (16200, 15), "v1.resource.k8s.io": (16200, 21),
    "v1.flowcontrol.apiserver.k8s.io": (16100, 21), "v1beta1.metrics.k8s.io": (100, 100),
}  # fmt: skip
"""Least priority of the group and priority of the version of everything built in."""


def local_service(group: str, version: str) -> APIService:
    """The API service of a group version that this server serves itself."""
    name = f"{version}.{group}"
    group_priority, version_priority = PRIORITIES.get(name, CUSTOM_PRIORITY)
    managed = "onstart" if name in PRIORITIES else "true"
    spec = APIServiceSpec(group=group, version=version, groupPriorityMinimum=group_priority, versionPriority=version_priority)
    return APIService(metadata=ObjectMeta(name=name, labels={MANAGED: managed}), spec=spec)


def available(service: APIService, now: datetime | None) -> APIServiceCondition:
    """Return the condition Available: true for what this server serves, false for another, since nothing is routed there."""
    if service.spec.service is None:
        return APIServiceCondition(
            type=AVAILABLE, status="True", lastTransitionTime=now, reason="Local", message="Local APIServices are always available"
        )
    where = f"{service.spec.service.namespace}/{service.spec.service.name}"
    message = f"requests are not routed to service/{where}: this server does not aggregate other API servers"
    return APIServiceCondition(type=AVAILABLE, status="False", lastTransitionTime=now, reason="AggregationUnsupported", message=message)
