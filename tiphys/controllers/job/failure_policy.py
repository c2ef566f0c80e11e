"""Pod failure policies: what the failure of a pod means for its Job ("Job": pod failure policy). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tiphys.api.batch import v1 as batch
from tiphys.controllers.shared.slim import SlimContainerStatus, SlimPod


class Match(NamedTuple):
    """Meaning of a failure: the action of the first rule that fits, "" when none does."""

    action: str = ""
    message: str = ""
    """Explanation of FailJob."""

    @property
    def counts(self) -> bool:
        """True if the failure counts towards the limits."""
        return self.action != "Ignore"


NONE = Match()


def match(policy: batch.PodFailurePolicy | None, pod: SlimPod) -> Match:
    """Return what the policy says about a failed pod."""
    for number, rule in enumerate((policy.rules or []) if policy is not None else []):
        cause = _cause(rule, pod)
        if cause:
            return Match(rule.action, f"{cause} matching {rule.action} rule at index {number}")
    return NONE


def _cause(rule: batch.PodFailurePolicyRule, pod: SlimPod) -> str:
    """Return what about the pod fits the rule, "" when nothing does."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.onExitCodes is not None:
        status = pod.status
        failed = _exited(rule.onExitCodes, (*status.containerStatuses, *status.initContainerStatuses))
        return f"Container {failed[0]} for pod {name} failed with exit code {failed[1]}" if failed is not None else ""
    for condition in pod.status.conditions:
        if any(condition.type == pattern.type and condition.status == pattern.status for pattern in rule.onPodConditions):
            return f"Pod {name} has condition {condition.type}"
    return ""


def _exited(rule: batch.PodFailurePolicyOnExitCodesRequirement, statuses: Iterable[SlimContainerStatus]) -> tuple[str, int] | None:
    """Return the name and the exit code of the first failed container that the rule is about. A code of 0 is never a failure."""
    for status in statuses:
        ended = status.state.terminated if status.state is not None else None
        if ended is None or not ended.exitCode or rule.containerName not in (None, status.name):
            continue
        if (ended.exitCode in rule.values) == (rule.operator == "In"):
            return status.name, ended.exitCode
    return None
