"""Policies: network policies, quotas, limit ranges, disruption budgets, runtime and priority classes, Pod Security Standards."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.enforcement.entry import Section, enforced, informational, warned
from tiphys.api.networking import v1 as networking
from tiphys.api.node import v1 as node
from tiphys.api.policy import v1 as policy
from tiphys.api.scheduling import v1 as scheduling

_UNATTENDED = "networkpolicies.networking.k8s.io are stored, but no part of this cluster acts on them yet"
_BY = ("api.podsecurity.policy", "apiserver.admission.pod_security")
_LABELS = "pod-security.kubernetes.io/"

NETWORK = Section(
    title="Network policies",
    kind="NetworkPolicy",
    entries=tuple(
        entry
        for field in ("podSelector", "ingress", "egress", "policyTypes")
        for entry in warned(networking.NetworkPolicySpec, field, _UNATTENDED, {}, elsewhere=True)
    ),
)

QUOTAS = Section(
    title="Quotas and limit ranges",
    kind="ResourceQuota",
    entries=(
        *enforced(core.ResourceQuotaSpec, "hard", "apiserver.admission.resource_quota", "controllers.resourcequota.plan"),
        *enforced(core.ResourceQuotaSpec, "scopes scopeSelector", "api.quota.scopes"),
        *enforced(
            core.LimitRangeItem, "type max min default defaultRequest maxLimitRequestRatio", "apiserver.admission.limit_ranger",
        ),
    ),
)  # fmt: skip

BUDGETS = Section(
    title="Disruption budgets",
    kind="PodDisruptionBudget",
    entries=(
        *enforced(policy.PodDisruptionBudgetSpec, "minAvailable maxUnavailable", "controllers.disruption.plan"),
        *enforced(policy.PodDisruptionBudgetSpec, "selector", "controllers.disruption.controller"),
        *enforced(policy.PodDisruptionBudgetSpec, "unhealthyPodEvictionPolicy", "apiserver.subresources.eviction"),
    ),
)

CLASSES = Section(
    title="Runtime and priority classes",
    kind="RuntimeClass",
    entries=(
        *enforced(node.RuntimeClass, "handler", "node.services"),
        *enforced(node.RuntimeClass, "overhead scheduling", "apiserver.admission.runtime_class"),
        *enforced(scheduling.PriorityClass, "value globalDefault preemptionPolicy", "apiserver.admission.priority"),
        *informational(scheduling.PriorityClass, "description", "For people."),
    ),
)

STANDARDS = Section(
    title="Pod Security Standards",
    kind="Namespace",
    entries=(
        *(
            entry
            for mode in ("enforce", "warn")
            for key in (mode, f"{mode}-version")
            for entry in enforced(core.Namespace, "metadata.labels", *_BY, keys=_LABELS + key)
        ),
        *(
            entry
            for key in ("audit", "audit-version")
            for entry in enforced(
                core.Namespace, "metadata.labels", *_BY, keys=_LABELS + key,
                text="Noted with the request; there is no audit log to read it in.",
            )
        ),
    ),
)  # fmt: skip
