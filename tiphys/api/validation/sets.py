"""Validation of stateful sets, daemon sets and replication controllers."""

from __future__ import annotations

import copy
from contextlib import suppress

from tiphys.api.apps.v1 import DaemonSet, DaemonSetStatus, DaemonSetUpdateStrategy, StatefulSet, StatefulSetSpec, StatefulSetStatus
from tiphys.api.core.v1 import (
    PersistentVolumeClaimVolumeSource,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerStatus,
    Volume,
)
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import percent
from tiphys.api.machinery.selectors import Selector, SelectorError, from_label_selector
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors, at_most_100_percent, dns_label, immutable, int_or_percent, label_selector, non_negative
from tiphys.api.validation import pod, volume_claim
from tiphys.api.validation.internal import internal
from tiphys.api.validation.workload import not_more_than_all, runs_for_ever

_MUTABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy")
_STATEFUL_COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_DAEMON_COUNTS = (
    *("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration"),
    *("updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount"),
)


def _selected(errors: Errors, selector: Selector, template: PodTemplateSpec) -> None:
    if not selector.matches(template.metadata.labels):
        said = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", internal(template.metadata.labels), said))


def _says_nothing(selector: LabelSelector) -> bool:
    return not selector.matchLabels and not selector.matchExpressions


# --- stateful sets ---


def validate_stateful_set(stateful_set: StatefulSet) -> Errors:
    """Everything wrong with a stateful set but for what never changes and may be wrong in old ones."""
    errors: Errors = []
    spec = stateful_set.spec
    policy = spec.podManagementPolicy
    if not policy:
        errors.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        errors.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    _stateful_strategy(errors, spec)
    _retention(errors, spec)
    non_negative(errors, "spec.replicas", spec.replicas)
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    if spec.ordinals is not None:
        non_negative(errors, "spec.ordinals.start", spec.ordinals.start)
    if spec.selector is None:
        errors.append(required("spec.selector"))
    else:
        label_selector(errors, "spec.selector", spec.selector)
        if _says_nothing(spec.selector):
            errors.append(invalid("spec.selector", spec.selector, "empty selector is invalid for statefulset"))
    try:
        selector = from_label_selector(spec.selector)
    except SelectorError:
        errors.append(invalid("spec.selector", spec.selector, ""))
    else:
        if not selector.empty:
            _selected(errors, selector, spec.template)
        pod.template(errors, "spec.template", _with_claims(spec))
    runs_for_ever(errors, "spec.template", spec.template, "StatefulSet")
    return errors


def _stateful_strategy(errors: Errors, spec: StatefulSetSpec) -> None:
    strategy, path = spec.updateStrategy, "spec.updateStrategy"
    rolling = strategy.rollingUpdate
    if not strategy.type:
        errors.append(required(path))
    elif strategy.type == "OnDelete":
        if rolling is not None:
            errors.append(invalid(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'"))
    elif strategy.type != "RollingUpdate":
        errors.append(invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'"))
    elif rolling is not None:
        non_negative(errors, f"{path}.rollingUpdate.partition", rolling.partition)
        if rolling.maxUnavailable is not None:
            here = f"{path}.rollingUpdate.maxUnavailable"
            int_or_percent(errors, here, rolling.maxUnavailable)
            if not _says_some(rolling.maxUnavailable):
                errors.append(invalid(here, rolling.maxUnavailable, "cannot be 0"))
            at_most_100_percent(errors, here, rolling.maxUnavailable)


def _retention(errors: Errors, spec: StatefulSetSpec) -> None:
    policy = spec.persistentVolumeClaimRetentionPolicy
    if policy is None:
        return
    for name in ("whenDeleted", "whenScaled"):
        value = getattr(policy, name)
        if value not in ("Retain", "Delete"):
            errors.append(not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{name}", value, ("Retain", "Delete")))


def _with_claims(spec: StatefulSetSpec) -> PodTemplateSpec:
    """The template as its pods will be: with volumes of the claims, and without the names that each pod gets for itself."""
    result = copy.copy(spec.template)
    wanted = result.spec = copy.copy(result.spec)
    wanted.hostname = wanted.subdomain = ""
    claims = {claim.metadata.name for claim in spec.volumeClaimTemplates}
    made = [
        Volume(name=claim.metadata.name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim.metadata.name))
        for claim in spec.volumeClaimTemplates
    ]
    wanted.volumes = [*made, *(volume for volume in wanted.volumes if volume.name not in claims)]
    return result


def validate_stateful_set_create(stateful_set: StatefulSet) -> Errors:
    """What only new stateful sets are refused for."""
    errors: Errors = []
    if stateful_set.spec.serviceName:
        dns_label(errors, "spec.serviceName", stateful_set.spec.serviceName)
    for index, claim in enumerate(stateful_set.spec.volumeClaimTemplates):
        volume_claim.claim_spec(errors, f"spec.volumeClaimTemplates[{index}].spec", claim.spec)
    return errors


def validate_stateful_set_update(new: StatefulSet, old: StatefulSet) -> Errors:
    errors: Errors = []
    spec = copy.copy(new.spec)
    for name in (*_MUTABLE, "minReadySeconds"):
        setattr(spec, name, getattr(old.spec, name))
    if spec != old.spec:
        named = ", ".join(f"'{name}'" for name in _MUTABLE)
        said = f"updates to statefulset spec for fields other than {named} and 'minReadySeconds' are forbidden"
        errors.append(forbidden("spec", said))
    return errors


def validate_stateful_set_status(new: StatefulSetStatus, old: StatefulSetStatus) -> Errors:
    errors: Errors = []
    for name in (*_STATEFUL_COUNTS, "observedGeneration", "collisionCount"):
        non_negative(errors, f"status.{name}", getattr(new, name))
    not_more_than_all(errors, new, ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"))
    if new.availableReplicas > new.readyReplicas:
        errors.append(invalid("status.availableReplicas", new.availableReplicas, "cannot be greater than status.readyReplicas"))
    _collisions(errors, new, old)
    return errors


def _collisions(errors: Errors, new: StatefulSetStatus | DaemonSetStatus, old: StatefulSetStatus | DaemonSetStatus) -> None:
    if (new.collisionCount or 0) < (old.collisionCount or 0):
        errors.append(invalid("status.collisionCount", new.collisionCount or 0, "cannot be decremented"))


# --- daemon sets ---


def validate_daemon_set(daemon_set: DaemonSet) -> Errors:
    errors: Errors = []
    spec = daemon_set.spec
    label_selector(errors, "spec.selector", spec.selector)
    with suppress(SelectorError):  # What is wrong with it has been said.
        _selected(errors, from_label_selector(spec.selector), spec.template)
    if spec.selector is not None and _says_nothing(spec.selector):
        errors.append(invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset"))
    pod.template(errors, "spec.template", spec.template)
    runs_for_ever(errors, "spec.template", spec.template, "DaemonSet")
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    _daemon_strategy(errors, "spec.updateStrategy", spec.updateStrategy)
    non_negative(errors, "spec.revisionHistoryLimit", spec.revisionHistoryLimit)
    return errors


def _daemon_strategy(errors: Errors, path: str, strategy: DaemonSetUpdateStrategy) -> None:
    rolling = strategy.rollingUpdate
    if strategy.type == "OnDelete":
        return
    if strategy.type != "RollingUpdate":
        errors.append(not_supported(path, strategy, ("RollingUpdate", "OnDelete")))
        return
    path = f"{path}.rollingUpdate"
    if rolling is None:
        errors.append(required(path))
        return
    for check in (int_or_percent, at_most_100_percent):
        check(errors, f"{path}.maxUnavailable", rolling.maxUnavailable)
        check(errors, f"{path}.maxSurge", rolling.maxSurge)
    unavailable, surge = _says_some(rolling.maxUnavailable), _says_some(rolling.maxSurge)
    if unavailable and surge:
        errors.append(invalid(f"{path}.maxSurge", rolling.maxSurge, "may not be set when maxUnavailable is non-zero"))
    elif not unavailable and not surge:
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def _says_some(value: int | str | None) -> bool:
    """Whether it is a number or a percentage other than 0."""
    if isinstance(value, str):
        return not percent(value) and int(value[:-1]) != 0
    return bool(value)


def validate_daemon_set_update(new: DaemonSet, old: DaemonSet) -> Errors:
    errors: Errors = []
    immutable(errors, "spec.selector", new.spec.selector, old.spec.selector)
    return errors


def validate_daemon_set_status(new: DaemonSetStatus, old: DaemonSetStatus) -> Errors:
    errors: Errors = []
    for name in _DAEMON_COUNTS:
        non_negative(errors, f"status.{name}", getattr(new, name))
    _collisions(errors, new, old)
    return errors


# --- replication controllers ---


def validate_replication_controller(controller: ReplicationController) -> Errors:
    errors: Errors = []
    spec = controller.spec
    non_negative(errors, "spec.minReadySeconds", spec.minReadySeconds)
    if not spec.selector:
        errors.append(required("spec.selector"))
    non_negative(errors, "spec.replicas", spec.replicas)
    if spec.template is None:
        errors.append(required("spec.template"))
        return errors
    labels = spec.template.metadata.labels
    if not spec.selector.items() <= labels.items():
        errors.append(invalid("spec.template.metadata.labels", internal(labels), "`selector` does not match template `labels`"))
    pod.template(errors, "spec.template", spec.template)
    runs_for_ever(errors, "spec.template", spec.template, "ReplicationController")
    return errors


def validate_replication_controller_status(status: ReplicationControllerStatus) -> Errors:
    errors: Errors = []
    for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"):
        non_negative(errors, f"status.{name}", getattr(status, name))
    not_more_than_all(errors, status, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))
    if status.availableReplicas > status.readyReplicas:
        errors.append(invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))
    return errors
