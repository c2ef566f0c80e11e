"""Changes of a pod that are allowed."""

from __future__ import annotations

import copy

from tiphys.api.core.internal import difference, internal
from tiphys.api.core.pods import annotation_rules
from tiphys.api.core.pods.annotation_rules import validate_change
from tiphys.api.core.pods.scheduling import only_added_tolerations
from tiphys.api.core.v1 import Container, ContainerStatus, NodeAffinity, Pod, PodSpec
from tiphys.api.machinery.errors import duplicate, forbidden, invalid
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.rules.basics import MAX_ID, Errors, dns_subdomain, immutable, label_name

_MUTABLE = ",".join(
    (
        "`spec.containers[*].image`",
        "`spec.initContainers[*].image`",
        "`spec.activeDeadlineSeconds`",
        "`spec.tolerations` (only additions to existing tolerations)",
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    )
)

_SYSTEM_CONDITIONS = frozenset({"PodScheduled", "Ready", "Initialized", "ContainersReady"})


def validate_pod_update(new: Pod, old: Pod) -> Errors:
    """Changes of the spec that a running pod cannot take; `pod.validate` finds the mistakes in the spec itself."""
    errors = _annotations(new, old)
    if new.spec == old.spec:
        return errors
    for kind in ("containers", "initContainers"):
        if len(getattr(new.spec, kind)) != len(getattr(old.spec, kind)):
            errors.append(forbidden(f"spec.{kind}", "pod updates may not add or remove containers"))
            return errors
    _deadline(errors, new.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds)
    only_added_tolerations(errors, "spec.tolerations", new.spec.tolerations, old.spec.tolerations)
    _gates(errors, new.spec, old.spec)
    spec = _with_allowed_changes_undone(errors, new.spec, old.spec)
    if spec != old.spec:
        message = f"pod updates may not change fields other than {_MUTABLE}\n{difference(old.spec, spec)}"
        errors.append(forbidden("spec", message))
    return errors


def _annotations(new: Pod, old: Pod) -> Errors:
    errors: Errors = []
    after, before = new.metadata.annotations, old.metadata.annotations
    if after != before:
        annotation_rules.validate(errors, "metadata.annotations", after, new.spec)
        validate_change(errors, "metadata.annotations", after, before)
    return errors


def _deadline(errors: Errors, new: int | None, old: int | None) -> None:
    path = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 0 <= new <= MAX_ID:
            errors.append(invalid(path, new, f"must be between 0 and {MAX_ID}, inclusive"))
        elif old is not None and old < new:
            errors.append(invalid(path, new, "must be less than or equal to previous value"))
    elif old is not None:
        errors.append(invalid(path, None, "must not update from a positive integer to nil value"))


def _gates(errors: Errors, new: PodSpec, old: PodSpec) -> None:
    before = {gate.name for gate in old.schedulingGates}
    for index, gate in enumerate(new.schedulingGates):
        if gate.name not in before:
            message = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            errors.append(forbidden(f"spec.schedulingGates[{index}].name", message))


def _with_allowed_changes_undone(errors: Errors, new: PodSpec, old: PodSpec) -> PodSpec:
    spec = copy.copy(new)
    spec.containers = _with_images(new.containers, old.containers)
    spec.initContainers = _with_images(new.initContainers, old.initContainers)
    spec.activeDeadlineSeconds = old.activeDeadlineSeconds
    spec.schedulingGates = old.schedulingGates
    spec.tolerations = old.tolerations
    if (old.terminationGracePeriodSeconds or 0) < 0 and new.terminationGracePeriodSeconds == 1:
        spec.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds
    if old.schedulingGates:
        _gated(errors, spec, old)
    return spec


def _with_images(new: list[Container], old: list[Container]) -> list[Container]:
    undone = []
    for mine, theirs in zip(new, old, strict=True):
        restored = copy.copy(mine)
        restored.image = theirs.image
        undone.append(restored)
    return undone


def _gated(errors: Errors, spec: PodSpec, old: PodSpec) -> None:
    """While gates hold a pod back, where it may go can be narrowed ("Pod Scheduling Readiness": mutable directives)."""
    if spec.nodeSelector != old.nodeSelector:
        if any(spec.nodeSelector.get(key) != value for key, value in old.nodeSelector.items()):
            errors.append(
                invalid(
                    "spec.nodeSelector", spec.nodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
                )
            )
        spec.nodeSelector = old.nodeSelector
    mine = spec.affinity.nodeAffinity if spec.affinity else None
    theirs = old.affinity.nodeAffinity if old.affinity else None
    if mine != theirs:
        _narrowed(errors, mine, theirs)
        if spec.affinity is not None and (old.affinity is not None or spec.affinity.podAffinity or spec.affinity.podAntiAffinity):
            spec.affinity = copy.copy(spec.affinity)
            spec.affinity.nodeAffinity = theirs
        else:
            spec.affinity = old.affinity


def _narrowed(errors: Errors, new: NodeAffinity | None, old: NodeAffinity | None) -> None:
    path = "spec.affinity.nodeAffinity"
    required_before = old.requiredDuringSchedulingIgnoredDuringExecution if old else None
    if required_before is None:
        return
    required_now = new.requiredDuringSchedulingIgnoredDuringExecution if new else None
    terms = required_now.nodeSelectorTerms if required_now else []
    here = f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if len(terms) != len(required_before.nodeSelectorTerms):
        errors.append(invalid(here, internal(terms), "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
        return
    for index, (mine, theirs) in enumerate(zip(terms, required_before.nodeSelectorTerms, strict=True)):
        kept = mine.matchExpressions[: len(theirs.matchExpressions)] == theirs.matchExpressions
        kept = kept and mine.matchFields[: len(theirs.matchFields)] == theirs.matchFields
        if not kept:
            errors.append(invalid(f"{here}[{index}]", internal(mine), "only additions are allowed (no mutations or deletions)"))


def validate_pod_status_update(new: Pod, old: Pod) -> Errors:
    """Changes of the status that cannot be true."""
    errors = _annotations(new, old)
    for index, condition in enumerate(new.status.conditions):
        if condition.type not in _SYSTEM_CONDITIONS and qualified_name_messages(condition.type):
            label_name(errors, f"status.conditions[{index}].Type", condition.type)
        if condition.observedGeneration < 0:
            here = f"status.conditions[{index}].observedGeneration"
            errors.append(invalid(here, condition.observedGeneration, "must be a non-negative integer"))
    nominated = new.status.nominatedNodeName
    if nominated and nominated != old.status.nominatedNodeName:
        dns_subdomain(errors, "status.nominatedNodeName", nominated)
        if old.spec.nodeName:
            errors.append(forbidden("status.nominatedNodeName", "may not be set on pods that are already bound to a node"))
    if old.status.qosClass:
        immutable(errors, "status.qosClass", new.status.qosClass, old.status.qosClass)
    if old.status.containerStatuses or old.status.initContainerStatuses:
        _transitions(errors, new, old)
    if new.status.resourceClaimStatuses:
        _recorded_claims(errors, new)
    return errors


def _recorded_claims(errors: Errors, pod: Pod) -> None:
    """Claims are recorded once for each entry of the spec that they were made for."""
    entries = {entry.name for entry in pod.spec.resourceClaims}
    seen: set[str] = set()
    for index, record in enumerate(pod.status.resourceClaimStatuses):
        here = f"status.resourceClaimStatuses[{index}]"
        if record.name not in entries:
            errors.append(invalid(f"{here}.name", record.name, "must match the name of an entry in `spec.resourceClaims`"))
        if record.name in seen:
            errors.append(duplicate(f"{here}.name", record.name))
        seen.add(record.name)
        if record.resourceClaimName is not None:
            dns_subdomain(errors, f"{here}.resourceClaimName", record.resourceClaimName)


def _transitions(errors: Errors, new: Pod, old: Pod) -> None:
    """A container that its policy does not restart stays terminated."""
    spec = old.spec
    policies = {c.name: c.restartPolicy or spec.restartPolicy for c in spec.containers if not c.restartPolicyRules}
    _stay(errors, "status.containerStatuses", new.status.containerStatuses, old.status.containerStatuses, policies)
    policies = {c.name: c.restartPolicy or spec.restartPolicy for c in spec.initContainers if not c.restartPolicyRules}
    _stay(errors, "status.initContainerStatuses", new.status.initContainerStatuses, old.status.initContainerStatuses, policies)


def _stay(errors: Errors, path: str, new: list[ContainerStatus], old: list[ContainerStatus], policies: dict[str, str]) -> None:
    now = {status.name: status for status in new}
    for index, before in enumerate(old):
        ended, after = before.state.terminated, now.get(before.name)
        if ended is None or after is None or after.state.terminated is not None:
            continue
        policy = policies.get(before.name, "Always")
        if policy == "Never" or (policy == "OnFailure" and ended.exitCode == 0):
            errors.append(forbidden(f"{path}[{index}].state", "may not be transitioned to non-terminated state"))
