"""Pods with claims, their claims and templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.unit.controllers.make import NOW, slim_pod
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.resource.v1 import (
    AllocationResult,
    DeviceAllocationResult,
    DeviceClaim,
    DeviceRequest,
    DeviceRequestAllocationResult,
    ExactDeviceRequest,
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimSpec,
    ResourceClaimStatus,
    ResourceClaimTemplate,
    ResourceClaimTemplateSpec,
)
from tiphys.controllers.resourceclaim.plan import ENTRY
from tiphys.controllers.resourceclaim.release import FINALIZER
from tiphys.controllers.shared.slim import SlimPod

SPEC = ResourceClaimSpec(
    devices=DeviceClaim(requests=[DeviceRequest(name="gpu", exactly=ExactDeviceRequest(deviceClassName="gpu.example.com"))])
)
RESULT = DeviceRequestAllocationResult(request="gpu", driver="gpu.example.com", pool="p", device="d")


def template(name: str = "gpus") -> ResourceClaimTemplate:
    meta = ObjectMeta(labels={"team": "a"}, annotations={"note": "b"})
    return ResourceClaimTemplate(
        metadata=ObjectMeta(name=name, namespace="default"), spec=ResourceClaimTemplateSpec(metadata=meta, spec=SPEC)
    )


def whole_pod(
    name: str = "web",
    *,
    templates: Mapping[str, str] | None = None,
    shared: Mapping[str, str] | None = None,
    recorded: Mapping[str, str | None] | None = None,
    node: str = "",
    phase: str = "Pending",
    deleting: bool = False,
    uid: str = "",
) -> core.Pod:
    """A pod whose entries name templates (`gpu: gpus` unless said otherwise) or claims."""
    entries = [
        core.PodResourceClaim(name=entry, resourceClaimTemplateName=name)
        for entry, name in ({"gpu": "gpus"} if templates is None else templates).items()
    ]
    entries += [core.PodResourceClaim(name=entry, resourceClaimName=name) for entry, name in (shared or {}).items()]
    records = [core.PodResourceClaimStatus(name=entry, resourceClaimName=name) for entry, name in (recorded or {}).items()]
    meta = ObjectMeta(name=name, namespace="default", uid=uid, deletionTimestamp=NOW if deleting else None)
    spec = core.PodSpec(nodeName=node, resourceClaims=entries, containers=[core.Container(name="main", image="busybox")])
    return core.Pod(metadata=meta, spec=spec, status=core.PodStatus(phase=phase, resourceClaimStatuses=records))


def pod(
    name: str = "web",
    *,
    templates: Mapping[str, str] | None = None,
    shared: Mapping[str, str] | None = None,
    recorded: Mapping[str, str | None] | None = None,
    node: str = "",
    phase: str = "Pending",
    deleting: bool = False,
) -> SlimPod:
    """The same, as controllers keep it, with the UID `uid-NAME`."""
    return slim_pod(
        whole_pod(
            name,
            templates=templates,
            shared=shared,
            recorded=recorded,
            node=node,
            phase=phase,
            deleting=deleting,
            uid=f"uid-{name}",
        )
    )


def consumer(name: str, uid: str = "", resource: str = "pods", group: str = "") -> ResourceClaimConsumerReference:
    return ResourceClaimConsumerReference(apiGroup=group, resource=resource, name=name, uid=uid or f"uid-{name}")


def claim(
    name: str = "web-gpu-1",
    *,
    owner: str = "",
    entry: str = "gpu",
    allocated: bool = False,
    reserved_for: Iterable[ResourceClaimConsumerReference] = (),
    protected: bool = False,
    deleting: bool = False,
) -> ResourceClaim:
    """A claim, made for an entry of the pod `owner` if there is one."""
    owners = [OwnerReference(apiVersion="v1", kind="Pod", name=owner, uid=f"uid-{owner}", controller=True)] if owner else []
    meta = ObjectMeta(
        name=name,
        namespace="default",
        annotations={ENTRY: entry} if owner else {},
        ownerReferences=owners,
        finalizers=[FINALIZER] if protected else [],
        deletionTimestamp=NOW if deleting else None,
    )
    allocation = AllocationResult(devices=DeviceAllocationResult(results=[RESULT])) if allocated else None
    return ResourceClaim(metadata=meta, spec=SPEC, status=ResourceClaimStatus(allocation=allocation, reservedFor=list(reserved_for)))
