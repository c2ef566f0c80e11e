"""Claims that pods get from templates, and reservations of pods that have a node already. Pure ("Dynamic Resource Allocation")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.resource.resource_claim import MAX_CONSUMERS
from tiphys.api.resource.v1 import (
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimStatus,
    ResourceClaimTemplate,
)
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import controller_of

ENTRY: Final = "resource.kubernetes.io/pod-claim-name"
"""Annotation of a claim that was made from a template: the entry of the pod's spec.resourceClaims."""

LONGEST_BASE = 57
"""Length from which on the two parts of a generated name are cut: 63 with a hyphen and five random characters."""


class NewClaim(NamedTuple):
    """Claim to create for an entry of a pod."""

    entry: str
    claim: ResourceClaim
    recorded: str
    """Name of the claim that the pod's status has for the entry and that the cache does not show; "" when there is none."""


@dataclass(slots=True)
class Plan:
    """Next step for the claims of a pod."""

    create: list[NewClaim] = field(default_factory=list)
    record: dict[str, str] = field(default_factory=dict)
    """Claims of the pod that its status does not name yet, by entry."""
    missing: dict[str, str] = field(default_factory=dict)
    """Templates that do not exist, by entry."""
    reserve: list[ResourceClaim] = field(default_factory=list)
    """Claims that the pod, which has a node, is to be entered in."""


def needs_claims(pod: SlimPod) -> bool:
    """Return whether containers of the pod run or may run yet. Once it is false for a pod it stays so."""
    return not is_finished(pod) and (pod.metadata.deletionTimestamp is None or bool(pod.spec.nodeName))


def recorded_claims(pod: SlimPod) -> Mapping[str, str | None]:
    """Return the claims that the status names, by entry; None for an entry that needs no claim."""
    return {record.name: record.resourceClaimName for record in pod.status.resourceClaimStatuses}


def claims_of(pod: SlimPod) -> list[str]:
    """Return the names of the claims that a pod uses, as far as its spec and its status say."""
    recorded = recorded_claims(pod)
    names = [entry.resourceClaimName or recorded.get(entry.name) for entry in pod.spec.resourceClaims]
    if pod.status.extendedResourceClaimStatus is not None:
        names.append(pod.status.extendedResourceClaimStatus.resourceClaimName)
    return [name for name in names if name]


def templates_of(pod: SlimPod) -> list[str]:
    """Return the names of the templates that a pod gets claims from."""
    return [entry.resourceClaimTemplateName for entry in pod.spec.resourceClaims if entry.resourceClaimTemplateName]


def plan(
    pod: SlimPod,
    owned: Sequence[ResourceClaim],
    find_claim: Callable[[str], ResourceClaim | None],
    find_template: Callable[[str], ResourceClaimTemplate | None],
) -> Plan:
    """Return the next step for a pod. `owned` are the claims that it controls; the functions look in its namespace."""
    step = Plan()
    if is_finished(pod) or pod.metadata.deletionTimestamp is not None:
        return step
    recorded = recorded_claims(pod)
    for entry in pod.spec.resourceClaims:
        if entry.resourceClaimName is not None:
            claim = find_claim(entry.resourceClaimName)
        elif entry.name in recorded and recorded[entry.name] is None:
            continue
        else:
            claim = _own_claim(step, pod, entry, recorded.get(entry.name) or "", owned, find_claim, find_template)
        if claim is not None and _is_to_reserve(pod, claim):
            step.reserve.append(claim)
    return step


def _own_claim(
    step: Plan,
    pod: SlimPod,
    entry: core.PodResourceClaim,
    recorded: str,
    owned: Sequence[ResourceClaim],
    find_claim: Callable[[str], ResourceClaim | None],
    find_template: Callable[[str], ResourceClaimTemplate | None],
) -> ResourceClaim | None:
    """Return the claim that was made for an entry, or else let one be created. A recorded one that is another's is none."""
    known = find_claim(recorded) if recorded else None
    if known is not None and _controls(pod, known):
        return known
    candidates = [claim for claim in owned if claim.metadata.annotations.get(ENTRY) == entry.name]
    if candidates:
        claim = min(candidates, key=_age)
        if claim.metadata.name != recorded:
            step.record[entry.name] = claim.metadata.name
        return claim
    name = entry.resourceClaimTemplateName or ""
    template = find_template(name)
    if template is None:
        step.missing[entry.name] = name
    else:
        step.create.append(NewClaim(entry.name, new_claim(pod, entry.name, template), recorded if known is None else ""))
    return None


def _age(claim: ResourceClaim) -> tuple[bool, str, str]:
    """Order of the claims of an entry, of which there should be but one: any other before one that is being deleted, then the oldest."""
    meta = claim.metadata
    created = meta.creationTimestamp.isoformat() if meta.creationTimestamp is not None else ""
    return meta.deletionTimestamp is not None, created, meta.name


def _controls(pod: SlimPod, claim: ResourceClaim) -> bool:
    owner = controller_of(claim)
    return owner is not None and owner.uid == pod.metadata.uid


def _is_to_reserve(pod: SlimPod, claim: ResourceClaim) -> bool:
    """Return whether a pod that no scheduler placed waits for an allocated claim. Others are entered by the scheduler.

    The server takes no entries for a claim that is being deleted, nor more than a claim may have; both change with the claim.
    """
    status = claim.status
    return (
        bool(pod.spec.nodeName)
        and status.allocation is not None
        and claim.metadata.deletionTimestamp is None
        and len(status.reservedFor) < MAX_CONSUMERS
        and all(consumer.uid != pod.metadata.uid for consumer in status.reservedFor)
    )


def reserved(claim: ResourceClaim, pod: SlimPod) -> ResourceClaimStatus:
    """Return the status of a claim with the pod among those that may use it."""
    consumer = ResourceClaimConsumerReference(resource="pods", name=pod.metadata.name, uid=pod.metadata.uid)
    return msgspec.structs.replace(claim.status, reservedFor=[*claim.status.reservedFor, consumer])


def new_claim(pod: SlimPod, entry: str, template: ResourceClaimTemplate) -> ResourceClaim:
    """Return the claim to create for an entry; it shares the template's spec, so write it but do not change it."""
    meta = ObjectMeta(
        generateName=generate_name(pod.metadata.name, entry),
        namespace=pod.metadata.namespace,
        labels=dict(template.spec.metadata.labels),
        annotations={**template.spec.metadata.annotations, ENTRY: entry},
        ownerReferences=[reference(pod)],
    )
    return ResourceClaim(metadata=meta, spec=template.spec.spec)


def generate_name(pod: str, entry: str) -> str:
    """Return the beginning of a claim's name: `POD-ENTRY-`, or so much of both, in proportion to their lengths, as fits.

    A cut after a dot takes the dot too, with which no name would be valid.
    """
    base = f"{pod}-{entry}-"
    if len(base) <= LONGEST_BASE:
        return base
    first, second = (part[: len(part) * LONGEST_BASE // len(base)] for part in (pod, entry))
    return f"{first.rstrip('.')}-{second}"


def asks_for_admin_access(claim: ResourceClaim) -> bool:
    """Return whether a request of the claim is for devices that others may be using ("Admin access")."""
    return any(request.exactly is not None and bool(request.exactly.adminAccess) for request in claim.spec.devices.requests or [])
