"""The RBAC authorizer: roles and bindings, indexed by subject, with the answers remembered ("Using RBAC Authorization").

Bindings are indexed by user and group name as they change. What one caller (name and groups) may do is put together once, as `_Grants`, and
answers are remembered there by verb and resource. Any change of a role or binding forgets all grants: such changes are rare, questions are
not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tiphys.api.meta.v1 import KubeObject
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.authorizer import NO_OPINION, Decision
from tiphys.apiserver.auth.rules import matches_path, matches_resource
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.user import SERVICE_ACCOUNT_PREFIX, User

MAX_CACHED_USERS = 2048
MAX_CACHED_ANSWERS = 4096
"""Per user. A full cache is emptied: frequent answers return at once."""


class _Binding(NamedTuple):
    """A binding as seen by one of its subjects."""

    namespace: str
    """"" for a ClusterRoleBinding."""
    name: str
    role: KubeObjectKey
    why: str


class KubeObjectKey(NamedTuple):
    """A role: `namespace` is "" for a ClusterRole."""

    namespace: str
    name: str


class _Answer(NamedTuple):
    """Decision on a verb on a resource in a namespace: allowed for all names, or for some."""

    always: Decision | None
    names: dict[str, Decision]


class _Source(NamedTuple):
    rule: PolicyRule
    decision: Decision


class _Grants:
    """Everything that one caller was given, by namespace, and the answers so far."""

    __slots__ = ("answers", "by_namespace", "cluster", "paths")

    def __init__(self, cluster: list[_Source], by_namespace: dict[str, list[_Source]]) -> None:
        self.cluster = cluster
        self.by_namespace = by_namespace
        self.answers: dict[tuple[str, str, str, str, str], _Answer] = {}
        self.paths: dict[tuple[str, str], Decision] = {}

    def sources(self, namespace: str) -> Iterator[_Source]:
        yield from self.cluster
        if namespace:
            yield from self.by_namespace.get(namespace, ())


class RbacAuthorizer:
    """Decides by roles and bindings, and lists the rules that apply to a user."""

    def __init__(self, source: ObjectSource) -> None:
        self._roles: dict[KubeObjectKey, list[PolicyRule]] = {}
        self._bindings: dict[tuple[str, str], dict[tuple[str, str], _Binding]] = {}
        self._seen: dict[KubeObjectKey, ClusterRoleBinding | RoleBinding] = {}
        self._grants: dict[tuple[str, tuple[str, ...]], _Grants] = {}
        # Subscribing before reading: a change in between is applied twice at worst.
        source.on_change(ClusterRole, self._role_changed)
        source.on_change(Role, self._role_changed)
        source.on_change(ClusterRoleBinding, self._binding_changed)
        source.on_change(RoleBinding, self._binding_changed)
        for cluster_role in source.objects(ClusterRole):
            self._role_changed(None, cluster_role)
        for role in source.objects(Role):
            self._role_changed(None, role)
        for cluster_binding in source.objects(ClusterRoleBinding):
            self._binding_changed(None, cluster_binding)
        for binding in source.objects(RoleBinding):
            self._binding_changed(None, binding)

    def authorize(self, attributes: Attributes) -> Decision:
        """Allowed with the binding as reason, or no opinion: RBAC never denies."""
        user = attributes.user
        grants = self._grants.get((user.name, user.groups)) or self._grants_of(user)
        if not attributes.is_resource:
            key = (attributes.verb, attributes.path)
            decision = grants.paths.get(key)
            return decision if decision is not None else _answer_path(grants, *key)
        question = (attributes.verb, attributes.group, attributes.resource, attributes.subresource, attributes.namespace)
        answer = grants.answers.get(question) or _answer(grants, *question)
        if answer.always is not None:
            return answer.always
        if answer.names and attributes.name:
            return answer.names.get(attributes.name, NO_OPINION)
        return NO_OPINION

    def rules_for(self, user: User, namespace: str) -> list[PolicyRule]:
        """The rules that apply to the caller in a namespace ("" for cluster-wide ones only). Not to be changed."""
        return [source.rule for source in self._grants_of(user).sources(namespace)]

    def role_rules(self, namespace: str, name: str) -> list[PolicyRule] | None:
        """The rules of a role (`namespace` "" for a ClusterRole), None when there is no such role. Not to be changed."""
        return self._roles.get(KubeObjectKey(namespace, name))

    def _grants_of(self, user: User) -> _Grants:
        key = (user.name, user.groups)
        known = self._grants.get(key)
        if known is not None:
            return known
        cluster: list[_Source] = []
        by_namespace: dict[str, list[_Source]] = {}
        for subject in (("User", user.name), *(("Group", group) for group in user.groups)):
            for binding in self._bindings.get(subject, {}).values():
                rules = self._roles.get(binding.role)
                if rules is None:
                    continue
                into = by_namespace.setdefault(binding.namespace, []) if binding.namespace else cluster
                decision = Decision(True, binding.why)
                into.extend(_Source(rule, decision) for rule in rules)
        if len(self._grants) >= MAX_CACHED_USERS:
            self._grants.clear()
        grants = self._grants[key] = _Grants(cluster, by_namespace)
        return grants

    def _role_changed(self, old: ClusterRole | Role | None, new: ClusterRole | Role | None) -> None:
        if old is not None and new is not None and old.rules == new.rules:
            return
        if old is not None:
            self._roles.pop(_key(old), None)
        if new is not None:
            self._roles[_key(new)] = new.rules or []
        self._grants.clear()

    def _binding_changed(self, old: ClusterRoleBinding | RoleBinding | None, new: ClusterRoleBinding | RoleBinding | None) -> None:
        changed = new or old
        if changed is None:
            return
        key = _key(changed)
        # Remove the state that was indexed, whatever the caller passes as the old one.
        indexed = self._seen.pop(key, None)
        for subject in indexed.subjects if indexed is not None else ():
            held = self._bindings[_subject_key(subject, key.namespace)]
            held.pop(key, None)
        if new is not None:
            self._seen[key] = new
            role = KubeObjectKey(key.namespace if new.roleRef.kind == "Role" else "", new.roleRef.name)
            for subject in new.subjects:
                held = self._bindings.setdefault(_subject_key(subject, key.namespace), {})
                # The first of several equal subjects gives the reason.
                held.setdefault(key, _Binding(key.namespace, key.name, role, _why(new, subject)))
        self._grants.clear()


def _key(obj: KubeObject) -> KubeObjectKey:
    namespace = obj.metadata.namespace if isinstance(obj, Role | RoleBinding) else ""
    return KubeObjectKey(namespace, obj.metadata.name)


def _subject_key(subject: Subject, namespace: str) -> tuple[str, str]:
    if subject.kind == "ServiceAccount":
        return "User", f"{SERVICE_ACCOUNT_PREFIX}{subject.namespace or namespace}:{subject.name}"
    return subject.kind, subject.name


def _why(binding: ClusterRoleBinding | RoleBinding, subject: Subject) -> str:
    namespace = binding.metadata.namespace
    if isinstance(binding, RoleBinding):
        kind, name = "RoleBinding", f"{binding.metadata.name}/{namespace}"
    else:
        kind, name = "ClusterRoleBinding", binding.metadata.name
    who = f"{subject.name}/{subject.namespace or namespace}" if subject.kind == "ServiceAccount" else subject.name
    role = binding.roleRef
    return f'RBAC: allowed by {kind} "{name}" of {role.kind} "{role.name}" to {subject.kind} "{who}"'


def _answer(grants: _Grants, verb: str, group: str, resource: str, subresource: str, namespace: str) -> _Answer:
    always: Decision | None = None
    names: dict[str, Decision] = {}
    target = f"{resource}/{subresource}" if subresource else resource
    for rule, decision in grants.sources(namespace):
        if not matches_resource(rule, verb, group, target, subresource):
            continue
        if not rule.resourceNames:
            always = decision
            break
        for name in rule.resourceNames:
            names.setdefault(name, decision)
    if len(grants.answers) >= MAX_CACHED_ANSWERS:
        grants.answers.clear()
    answer = grants.answers[(verb, group, resource, subresource, namespace)] = _Answer(always, names)
    return answer


def _answer_path(grants: _Grants, verb: str, path: str) -> Decision:
    decision = next((source.decision for source in grants.cluster if matches_path(source.rule, verb, path)), NO_OPINION)
    if len(grants.paths) >= MAX_CACHED_ANSWERS:
        grants.paths.clear()
    grants.paths[(verb, path)] = decision
    return decision


def rules_allow(rules: Sequence[PolicyRule], attributes: Attributes) -> bool:
    """Return whether one of a fixed list of rules allows a request."""
    if not attributes.is_resource:
        return any(matches_path(rule, attributes.verb, attributes.path) for rule in rules)
    return any(
        matches_resource(rule, attributes.verb, attributes.group, attributes.target, attributes.subresource)
        and (not rule.resourceNames or attributes.name in rule.resourceNames)
        for rule in rules
    )
