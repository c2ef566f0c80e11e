"""StatefulSet: defaults, validation, columns and registration."""

from __future__ import annotations

import copy

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.shared import is_nonzero, validate_collision_count
from tiphys.api.apps.v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetStatus,
)
from tiphys.api.core.persistent_volume_claim import validate_claim_spec
from tiphys.api.core.pods import validation
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.warnings import template_warnings
from tiphys.api.core.v1 import PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume
from tiphys.api.core.workloads import CONTAINERS, always_restarted, at_most_replicas, is_empty_selector, validate_selection
from tiphys.api.machinery import names
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.machinery.subresources import SCALE, STATUS
from tiphys.api.rules.basics import Errors, at_most_100_percent, dns_label, int_or_percent, label_selector, non_negative


def default_stateful_set(stateful_set: StatefulSet) -> None:
    """Run one replica, start pods in order and retain claims ("StatefulSets")."""
    spec = stateful_set.spec
    default_pod_spec(spec.template.spec)
    for claim in spec.volumeClaimTemplates:
        default_claim_template(claim)
    spec.podManagementPolicy = spec.podManagementPolicy or "OrderedReady"
    strategy = spec.updateStrategy
    if not strategy.type:
        strategy.type = "RollingUpdate"
        strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateStatefulSetStrategy()
    if strategy.type == "RollingUpdate" and strategy.rollingUpdate is not None and strategy.rollingUpdate.partition is None:
        strategy.rollingUpdate.partition = 0
    policy = spec.persistentVolumeClaimRetentionPolicy or StatefulSetPersistentVolumeClaimRetentionPolicy()
    policy.whenDeleted = policy.whenDeleted or "Retain"
    policy.whenScaled = policy.whenScaled or "Retain"
    spec.persistentVolumeClaimRetentionPolicy = policy
    if spec.replicas is None:
        spec.replicas = 1
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10


def default_claim_template(claim: PersistentVolumeClaim) -> None:
    """A claim of a StatefulSet is a whole object: it names its kind, and its status says that it waits."""
    if claim.spec.volumeMode is None:
        claim.spec.volumeMode = "Filesystem"
    claim.status.phase = claim.status.phase or "Pending"


_MUTABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy")
_STATEFUL_COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


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
        if is_empty_selector(spec.selector):
            errors.append(invalid("spec.selector", spec.selector, "empty selector is invalid for statefulset"))
    try:
        selector = from_label_selector(spec.selector)
    except SelectorError:
        errors.append(invalid("spec.selector", spec.selector, ""))
    else:
        if not selector.empty:
            validate_selection(errors, selector, spec.template)
        validation.template(errors, "spec.template", _with_claims(spec))
    always_restarted(errors, "spec.template", spec.template, "StatefulSet")
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
            if not is_nonzero(rolling.maxUnavailable):
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
    pod_spec = result.spec = copy.copy(result.spec)
    pod_spec.hostname = pod_spec.subdomain = ""
    claims = {claim.metadata.name for claim in spec.volumeClaimTemplates}
    own = [
        Volume(name=claim.metadata.name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim.metadata.name))
        for claim in spec.volumeClaimTemplates
    ]
    pod_spec.volumes = [*own, *(volume for volume in pod_spec.volumes if volume.name not in claims)]
    return result


def validate_stateful_set_create(stateful_set: StatefulSet) -> Errors:
    """Return the mistakes in a stateful set only when it is new."""
    errors: Errors = []
    if stateful_set.spec.serviceName:
        dns_label(errors, "spec.serviceName", stateful_set.spec.serviceName)
    for index, claim in enumerate(stateful_set.spec.volumeClaimTemplates):
        validate_claim_spec(errors, f"spec.volumeClaimTemplates[{index}].spec", claim.spec)
    return errors


def validate_stateful_set_update(new: StatefulSet, old: StatefulSet) -> Errors:
    """Refuse changes of all fields of the spec but those of `_MUTABLE`, and minReadySeconds."""
    errors: Errors = []
    spec = copy.copy(new.spec)
    for name in (*_MUTABLE, "minReadySeconds"):
        setattr(spec, name, getattr(old.spec, name))
    if spec != old.spec:
        named = ", ".join(f"'{name}'" for name in _MUTABLE)
        message = f"updates to statefulset spec for fields other than {named} and 'minReadySeconds' are forbidden"
        errors.append(forbidden("spec", message))
    return errors


def validate_stateful_set_status(new: StatefulSetStatus, old: StatefulSetStatus) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    for name in (*_STATEFUL_COUNTS, "observedGeneration", "collisionCount"):
        non_negative(errors, f"status.{name}", getattr(new, name))
    at_most_replicas(errors, new, ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"))
    if new.availableReplicas > new.readyReplicas:
        errors.append(invalid("status.availableReplicas", new.availableReplicas, "cannot be greater than status.readyReplicas"))
    validate_collision_count(errors, new, old)
    return errors


class StatefulSetRules(Rules[StatefulSet]):
    default = staticmethod(default_stateful_set)

    validate = staticmethod(validate_stateful_set)
    validate_create = staticmethod(validate_stateful_set_create)
    validate_update = staticmethod(validate_stateful_set_update)

    def validate_status_update(self, new: StatefulSet, old: StatefulSet) -> list[FieldError]:
        return validate_stateful_set_status(new.status, old.status)

    validate_name = staticmethod(names.dns_label)

    def warnings(self, obj: StatefulSet, old: StatefulSet | None) -> list[str]:
        warnings = template_warnings("spec.template", obj.spec.template) if old is None or obj.spec != old.spec else []
        if (obj.spec.revisionHistoryLimit or 0) < 0:
            warnings.append("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
        return warnings


COLUMNS = (
    NAME,
    Column("Ready", cell(lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}"), description="Ready pods, of how many."),
    AGE,
    *CONTAINERS,
)

STATEFUL_SETS: Kind[apps.StatefulSet] = Kind(
    type=apps.StatefulSet,
    plural="statefulsets",
    rules=StatefulSetRules(),
    columns=COLUMNS,
    group="apps",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, STATUS),
)
