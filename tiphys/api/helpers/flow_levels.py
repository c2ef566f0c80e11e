"""The priority levels and flow schemas that every cluster has ("API Priority and Fairness: Defaults").

The mandatory ones keep the server able to answer at all, so nobody may change them; the suggested ones are a beginning that an
administrator may change (see `AUTO_UPDATE`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.meta.v1 import ObjectMeta

AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
"""Annotation: `true` while the server keeps the spec as its own version wants it, `false` once somebody else has taken it over."""
EXEMPT, CATCH_ALL = "exempt", "catch-all"
ALL = "*"
_KUBE_SYSTEM = "kube-system"
_LEASES = "coordination.k8s.io"
_EVERYBODY = ("system:unauthenticated", "system:authenticated")
BY_USER, BY_NAMESPACE = "ByUser", "ByNamespace"


def _meta(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, annotations={AUTO_UPDATE: "true"})


def _exempt() -> flow.PriorityLevelConfiguration:
    spec = flow.PriorityLevelConfigurationSpec(
        type="Exempt", exempt=flow.ExemptPriorityLevelConfiguration(nominalConcurrencyShares=0, lendablePercent=0)
    )
    return flow.PriorityLevelConfiguration(metadata=_meta(EXEMPT), spec=spec)


def _limited(name: str, shares: int, lendable: int, queues: int = 0, hand: int = 0) -> flow.PriorityLevelConfiguration:
    """A level that queues requests without a seat, or refuses them at once if it has no queues."""
    queuing = flow.QueuingConfiguration(queues=queues, handSize=hand, queueLengthLimit=50) if queues else None
    limited = flow.LimitedPriorityLevelConfiguration(
        nominalConcurrencyShares=shares,
        lendablePercent=lendable,
        limitResponse=flow.LimitResponse(type="Queue" if queues else "Reject", queuing=queuing),
    )
    return flow.PriorityLevelConfiguration(metadata=_meta(name), spec=flow.PriorityLevelConfigurationSpec(type="Limited", limited=limited))


def _groups(*names: str) -> list[flow.Subject]:
    return [flow.Subject(kind="Group", group=flow.GroupSubject(name=name)) for name in names]


def _users(*names: str) -> list[flow.Subject]:
    return [flow.Subject(kind="User", user=flow.UserSubject(name=name)) for name in names]


def _system_accounts() -> list[flow.Subject]:
    return [flow.Subject(kind="ServiceAccount", serviceAccount=flow.ServiceAccountSubject(namespace=_KUBE_SYSTEM, name=ALL))]


def _resources(
    verbs: Sequence[str] = (ALL,), groups: Sequence[str] = (ALL,), resources: Sequence[str] = (ALL,), *, cluster: bool = True
) -> flow.ResourcePolicyRule:
    return flow.ResourcePolicyRule(
        verbs=list(verbs), apiGroups=list(groups), resources=list(resources), namespaces=[ALL], clusterScope=cluster
    )


def _paths(verbs: Sequence[str] = (ALL,), urls: Sequence[str] = (ALL,)) -> flow.NonResourcePolicyRule:
    return flow.NonResourcePolicyRule(verbs=list(verbs), nonResourceURLs=list(urls))


def _schema(
    name: str,
    level: str,
    precedence: int,
    distinguisher: str,
    subjects: list[flow.Subject],
    resources: Sequence[flow.ResourcePolicyRule] = (),
    paths: Sequence[flow.NonResourcePolicyRule] = (),
) -> flow.FlowSchema:
    rule = flow.PolicyRulesWithSubjects(subjects=subjects, resourceRules=list(resources), nonResourceRules=list(paths))
    spec = flow.FlowSchemaSpec(
        priorityLevelConfiguration=flow.PriorityLevelConfigurationReference(name=level),
        matchingPrecedence=precedence,
        distinguisherMethod=flow.FlowDistinguisherMethod(type=distinguisher) if distinguisher else None,
        rules=[rule],
    )
    return flow.FlowSchema(metadata=_meta(name), spec=spec)


def _by_name(objects: Iterable[flow.PriorityLevelConfiguration]) -> dict[str, flow.PriorityLevelConfiguration]:
    return {obj.metadata.name: obj for obj in objects}


MANDATORY_LEVELS = _by_name((_exempt(), _limited(CATCH_ALL, 5, 0)))
SUGGESTED_LEVELS = _by_name(
    (
        _limited("system", 30, 33, 64, 6),
        _limited("node-high", 40, 25, 64, 6),
        _limited("leader-election", 10, 0, 16, 4),
        _limited("workload-high", 40, 50, 128, 6),
        _limited("workload-low", 100, 90, 128, 6),
        _limited("global-default", 20, 50, 128, 6),
    )
)

_ANY = [_resources()]
_ANY_PATH = [_paths()]

MANDATORY_SCHEMAS = {
    schema.metadata.name: schema
    for schema in (
        _schema(EXEMPT, EXEMPT, 1, "", _groups("system:masters"), _ANY, _ANY_PATH),
        _schema(CATCH_ALL, CATCH_ALL, 10000, BY_USER, _groups(*_EVERYBODY), _ANY, _ANY_PATH),
    )
}
SUGGESTED_SCHEMAS = {
    schema.metadata.name: schema
    for schema in (
        _schema("probes", EXEMPT, 2, "", _groups(*_EVERYBODY), paths=[_paths(["get"], ["/healthz", "/readyz", "/livez"])]),
        _schema(
            "system-leader-election",
            "leader-election",
            100,
            BY_USER,
            _users("system:kube-controller-manager", "system:kube-scheduler") + _system_accounts(),
            [_resources(["get", "create", "update"], [_LEASES], ["leases"], cluster=False)],
        ),
        _schema(
            "system-node-high",
            "node-high",
            400,
            BY_USER,
            _groups("system:nodes"),
            [
                _resources(groups=[""], resources=["nodes", "nodes/status"]),
                _resources(groups=[_LEASES], resources=["leases"], cluster=False),
            ],
        ),
        _schema("system-nodes", "system", 500, BY_USER, _groups("system:nodes"), _ANY, _ANY_PATH),
        _schema("kube-controller-manager", "workload-high", 800, BY_NAMESPACE, _users("system:kube-controller-manager"), _ANY, _ANY_PATH),
        _schema("kube-scheduler", "workload-high", 800, BY_NAMESPACE, _users("system:kube-scheduler"), _ANY, _ANY_PATH),
        _schema("kube-system-service-accounts", "workload-high", 900, BY_NAMESPACE, _system_accounts(), _ANY, _ANY_PATH),
        _schema("service-accounts", "workload-low", 9000, BY_USER, _groups("system:serviceaccounts"), _ANY, _ANY_PATH),
        _schema("global-default", "global-default", 9900, BY_USER, _groups(*_EVERYBODY), _ANY, _ANY_PATH),
    )
}
