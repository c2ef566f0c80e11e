"""DaemonSet: defaults, validation, columns and registration."""

from __future__ import annotations

from contextlib import suppress

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.shared import is_nonzero, validate_collision_count
from tiphys.api.apps.v1 import DaemonSet, DaemonSetStatus, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from tiphys.api.core.pods import validation
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.warnings import template_warnings
from tiphys.api.core.workloads import TEMPLATE, always_restarted, is_empty_selector, validate_selection
from tiphys.api.machinery.columns import AGE, NAME, cell, format_labels
from tiphys.api.machinery.errors import FieldError, invalid, not_supported, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.machinery.selectors import SelectorError, from_label_selector
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, at_most_100_percent, immutable, int_or_percent, label_selector, non_negative


def default_daemon_set(daemon_set: DaemonSet) -> None:
    """Update one node at a time, and keep ten revisions ("DaemonSet")."""
    spec = daemon_set.spec
    default_pod_spec(spec.template.spec)
    strategy = spec.updateStrategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rollingUpdate = strategy.rollingUpdate or RollingUpdateDaemonSet()
        if rolling.maxUnavailable is None:
            rolling.maxUnavailable = 1
        if rolling.maxSurge is None:
            rolling.maxSurge = 0
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10


_DAEMON_COUNTS = (
    *("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration"),
    *("updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount"),
)


def validate_daemon_set(daemon_set: DaemonSet) -> Errors:
    """Return the mistakes in a daemon set ("DaemonSet")."""
    errors: Errors = []
    spec = daemon_set.spec
    label_selector(errors, "spec.selector", spec.selector)
    with suppress(SelectorError):  # What is wrong with it has been said.
        validate_selection(errors, from_label_selector(spec.selector), spec.template)
    if spec.selector is not None and is_empty_selector(spec.selector):
        errors.append(invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset"))
    validation.template(errors, "spec.template", spec.template)
    always_restarted(errors, "spec.template", spec.template, "DaemonSet")
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
    unavailable, surge = is_nonzero(rolling.maxUnavailable), is_nonzero(rolling.maxSurge)
    if unavailable and surge:
        errors.append(invalid(f"{path}.maxSurge", rolling.maxSurge, "may not be set when maxUnavailable is non-zero"))
    elif not unavailable and not surge:
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def validate_daemon_set_update(new: DaemonSet, old: DaemonSet) -> Errors:
    """Refuse changes of the selector."""
    errors: Errors = []
    immutable(errors, "spec.selector", new.spec.selector, old.spec.selector)
    return errors


def validate_daemon_set_status(new: DaemonSetStatus, old: DaemonSetStatus) -> Errors:
    """Return the mistakes in the counts of a status."""
    errors: Errors = []
    for name in _DAEMON_COUNTS:
        non_negative(errors, f"status.{name}", getattr(new, name))
    validate_collision_count(errors, new, old)
    return errors


TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_DIGITS = 19
"""Digits of the largest int64."""
"""Annotation: how often the template of a DaemonSet has changed. It was a field of older versions, and clients still read it."""


class DaemonSetRules(Rules[DaemonSet]):
    def default(self, obj: DaemonSet) -> None:
        default_daemon_set(obj)
        obj.metadata.annotations.setdefault(TEMPLATE_GENERATION, "0")  # The field of older versions, which its author owns.

    def prepare_create(self, obj: DaemonSet) -> None:
        generation = obj.metadata.annotations.get(TEMPLATE_GENERATION, "")
        if not (generation.isascii() and generation.isdigit() and len(generation) < _DIGITS and int(generation) > 0):
            obj.metadata.annotations[TEMPLATE_GENERATION] = "1"

    def prepare_update(self, new: DaemonSet, old: DaemonSet) -> None:
        count = int(old.metadata.annotations.get(TEMPLATE_GENERATION, "1"))
        changed = new.spec.template != old.spec.template
        new.metadata.annotations[TEMPLATE_GENERATION] = str(count + changed)

    def prepare_status_update(self, new: DaemonSet, old: DaemonSet) -> None:
        if TEMPLATE_GENERATION in old.metadata.annotations:
            new.metadata.annotations[TEMPLATE_GENERATION] = old.metadata.annotations[TEMPLATE_GENERATION]

    validate = staticmethod(validate_daemon_set)

    def warnings(self, obj: DaemonSet, old: DaemonSet | None) -> list[str]:
        changed = old is None or obj.spec.template != old.spec.template
        return template_warnings("spec.template", obj.spec.template) if changed else []

    validate_update = staticmethod(validate_daemon_set_update)

    def validate_status_update(self, new: DaemonSet, old: DaemonSet) -> list[FieldError]:
        return validate_daemon_set_status(new.status, old.status)


COLUMNS = (
    NAME,
    Column("Desired", cell(lambda obj: obj.status.desiredNumberScheduled), type="integer", description="Nodes that should run a pod."),
    Column("Current", cell(lambda obj: obj.status.currentNumberScheduled), type="integer", description="Nodes that do."),
    Column("Ready", cell(lambda obj: obj.status.numberReady), type="integer", description="Nodes whose pod is ready."),
    Column("Up-to-date", cell(lambda obj: obj.status.updatedNumberScheduled), type="integer", description="Nodes with a current pod."),
    Column("Available", cell(lambda obj: obj.status.numberAvailable), type="integer", description="Nodes whose pod was ready long enough."),
    Column("Node Selector", cell(lambda obj: format_labels(obj.spec.template.spec.nodeSelector)), description="The nodes it is for."),
    AGE,
    *TEMPLATE,
)

DAEMON_SETS: Kind[apps.DaemonSet] = Kind(
    type=apps.DaemonSet,
    plural="daemonsets",
    rules=DaemonSetRules(),
    columns=COLUMNS,
    group="apps",
    short_names=("ds",),
    categories=("all",),
    subresources=(STATUS,),
)
