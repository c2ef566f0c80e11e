"""The default roles and bindings as objects, the writes that restore them, and the contents of aggregated roles. Pure.

Restoring only adds: rules, subjects, labels and annotations that the administrator added to a default object stay, and an object with the
annotation `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone ("Auto-reconciliation").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from tiphys.api.helpers.cluster_roles import aggregated_rules
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.api.rbac.v1 import AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from tiphys.apiserver.auth import policy
from tiphys.apiserver.auth.controller_roles import CONTROLLERS
from tiphys.apiserver.auth.rules import compact, uncovered

GROUP: Final = "rbac.authorization.k8s.io"
AUTO_UPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
LABELS: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
SYSTEM: Final = "kube-system"

RbacObject = ClusterRole | ClusterRoleBinding | Role | RoleBinding
ObjectT = TypeVar("ObjectT", bound=RbacObject)


class Write(NamedTuple):
    """One write that restores a default. `replace` means delete, then create: a binding's roleRef cannot be updated."""

    action: Literal["create", "update", "replace"]
    object: RbacObject


def default_objects() -> list[RbacObject]:
    """Every default role and binding, roles first; aggregated roles have their rules."""
    roles = [*_cluster_roles()]
    filled = {role.metadata.name: role for role in aggregation_updates(roles)}
    return [
        *(filled.get(role.metadata.name, role) for role in roles),
        *(Role(metadata=_metadata(name, namespace), rules=parse_rules(text)) for (namespace, name), text in policy.ROLES.items()),
        *_cluster_bindings(),
        *_role_bindings(),
    ]


def reconcile_defaults(existing: Iterable[RbacObject]) -> list[Write]:
    """The writes that bring the defaults back. Nothing of `existing` is changed."""
    present = {_key(obj): obj for obj in existing}
    writes: list[Write] = []
    for desired in default_objects():
        current = present.get(_key(desired))
        if current is None:
            writes.append(Write("create", desired))
            continue
        if current.metadata.annotations.get(AUTO_UPDATE) == "false":
            continue
        write = _restore(current, desired)
        if write is not None:
            writes.append(write)
    return writes


def aggregation_updates(roles: Iterable[ClusterRole]) -> list[ClusterRole]:
    """The cluster roles whose `rules` differ from what their aggregationRule gathers, as they must be written.

    Roles may gather aggregated roles (admin gathers edit, edit gathers view), so this goes round until nothing changes.
    """
    current = {role.metadata.name: role for role in roles}
    changed: dict[str, ClusterRole] = {}
    for _ in range(len(current) + 1):
        before = len(changed), [role.rules for role in changed.values()]
        for name, role in current.items():
            if role.aggregationRule is None:
                continue
            rules = aggregated_rules(role, current.values())
            if rules != role.rules:
                current[name] = changed[name] = msgspec.structs.replace(role, rules=rules)
        if before == (len(changed), [role.rules for role in changed.values()]):
            break
    return list(changed.values())


def parse_rules(text: str) -> list[PolicyRule]:
    """Rules in the notation of `policy.py`; raises ValueError."""
    return [_parse_rule(line.strip()) for line in text.splitlines() if line.strip()]


def _parse_rule(line: str) -> PolicyRule:
    verbs, *rest = (part.strip() for part in line.split("|"))
    verbs = policy.VERBS.get(verbs, verbs)
    if len(rest) == 2 and not rest[0]:
        return PolicyRule(verbs=verbs.split(), nonResourceURLs=rest[1].split())
    if len(rest) not in (2, 3) or not all((verbs, *rest)):
        raise ValueError(f"not a rule: {line}")
    groups = ["" if group == "core" else group for group in rest[0].split()]
    names = rest[2].split() if len(rest) == 3 else []
    return PolicyRule(verbs=verbs.split(), apiGroups=groups, resources=rest[1].split(), resourceNames=names)


def _metadata(name: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace, labels={**LABELS, **(labels or {})}, annotations={AUTO_UPDATE: "true"})


def _label(role: str) -> dict[str, str]:
    return {f"{GROUP}/aggregate-to-{policy.AGGREGATE_TO[role]}": "true"} if role in policy.AGGREGATE_TO else {}


def _cluster_roles() -> Iterator[ClusterRole]:
    for name, text in policy.CLUSTER_ROLES.items():
        yield ClusterRole(metadata=_metadata(name, labels=_label(name)), rules=parse_rules(text))
    for name, target in policy.AGGREGATED.items():
        selector = LabelSelector(matchLabels={f"{GROUP}/aggregate-to-{target}": "true"})
        yield ClusterRole(metadata=_metadata(name, labels=_label(name)), aggregationRule=AggregationRule(clusterRoleSelectors=[selector]))
    for name, text in CONTROLLERS.items():
        yield ClusterRole(metadata=_metadata(f"system:controller:{name}"), rules=parse_rules(f"{text}\n{policy.EVENTS}"))


def _cluster_bindings() -> Iterator[ClusterRoleBinding]:
    for name, (role, subjects) in policy.CLUSTER_BINDINGS.items():
        yield ClusterRoleBinding(metadata=_metadata(name), subjects=_subjects(subjects), roleRef=_ref("ClusterRole", role))
    for name in CONTROLLERS:
        role = f"system:controller:{name}"
        account = Subject(kind="ServiceAccount", name=name, namespace=SYSTEM)
        yield ClusterRoleBinding(metadata=_metadata(role), subjects=[account], roleRef=_ref("ClusterRole", role))


def _role_bindings() -> Iterator[RoleBinding]:
    for (namespace, name), (role, subjects) in policy.ROLE_BINDINGS.items():
        yield RoleBinding(metadata=_metadata(name, namespace), subjects=_subjects(subjects), roleRef=_ref("Role", role))


def _ref(kind: str, name: str) -> RoleRef:
    return RoleRef(apiGroup=GROUP, kind=kind, name=name)


def _subjects(text: str) -> list[Subject]:
    subjects = []
    for part in filter(None, text.split(", ")):
        kind, name = part.split(" ")
        if kind == "ServiceAccount":
            namespace, name = name.split("/")
            subjects.append(Subject(kind=kind, name=name, namespace=namespace))
        else:
            subjects.append(Subject(kind=kind, apiGroup=GROUP, name=name))
    return subjects


def _key(obj: RbacObject) -> tuple[str, str, str]:
    return obj.kind, obj.metadata.namespace, obj.metadata.name


def _copy(obj: ObjectT) -> ObjectT:
    return msgspec.json.decode(msgspec.json.encode(obj), type=type(obj))


def _restore(stored: RbacObject, desired: RbacObject) -> Write | None:
    result = _copy(stored)
    for current, needed in (
        (result.metadata.labels, desired.metadata.labels),
        (result.metadata.annotations, {AUTO_UPDATE: "true"}),
    ):
        for key, value in needed.items():
            current.setdefault(key, value)
    if isinstance(result, ClusterRoleBinding | RoleBinding) and isinstance(desired, ClusterRoleBinding | RoleBinding):
        if result.roleRef != desired.roleRef:
            return Write("replace", desired)
        result.subjects.extend(subject for subject in desired.subjects if subject not in result.subjects)
    elif isinstance(result, ClusterRole) and isinstance(desired, ClusterRole) and desired.aggregationRule is not None:
        _restore_aggregation(result, desired.aggregationRule)
    elif isinstance(result, ClusterRole | Role) and isinstance(desired, ClusterRole | Role):
        result.rules = [*(result.rules or []), *compact(uncovered(result.rules or [], desired.rules or []))]
    return Write("update", result) if result != stored else None


def _restore_aggregation(role: ClusterRole, desired: AggregationRule) -> None:
    # The rules of an aggregated role are left to the aggregation: other roles may have joined.
    if role.aggregationRule is None:
        role.aggregationRule = desired
        return
    selectors = role.aggregationRule.clusterRoleSelectors
    selectors.extend(selector for selector in desired.clusterRoleSelectors if selector not in selectors)
