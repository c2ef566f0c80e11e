"""The RBAC authorizer, its rules, and the checks against giving away more than one has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.machinery.errors import Forbidden, NotFound
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.api.rbac.v1 import AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from tiphys.apiserver.auth.attributes import Attributes, refusal, selected_name
from tiphys.apiserver.auth.authorizer import AuthorizerChain, Superusers
from tiphys.apiserver.auth.escalation import EscalationGuard
from tiphys.apiserver.auth.rbac import RbacAuthorizer, rules_allow
from tiphys.apiserver.auth.rules import MOST_TOLD, uncovered
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource

ALICE = User("alice", groups=("dev", "system:authenticated"))
ROOT = User("root", groups=("system:masters",))


def rule(verbs: str, groups: str, resources: str, names: str = "") -> PolicyRule:
    return PolicyRule(
        verbs=verbs.split(), apiGroups=["" if g == "core" else g for g in groups.split()], resources=resources.split(),
        resourceNames=names.split(),
    )  # fmt: skip


def cluster_role(name: str, *rules: PolicyRule) -> ClusterRole:
    return ClusterRole(metadata=ObjectMeta(name=name), rules=list(rules))


def role(namespace: str, name: str, *rules: PolicyRule) -> Role:
    return Role(metadata=ObjectMeta(name=name, namespace=namespace), rules=list(rules))


def bind_cluster(name: str, to: str, *subjects: Subject) -> ClusterRoleBinding:
    return ClusterRoleBinding(metadata=ObjectMeta(name=name), subjects=list(subjects), roleRef=RoleRef(kind="ClusterRole", name=to))


def bind(namespace: str, name: str, to: str, *subjects: Subject, kind: str = "Role") -> RoleBinding:
    return RoleBinding(metadata=ObjectMeta(name=name, namespace=namespace), subjects=list(subjects), roleRef=RoleRef(kind=kind, name=to))


def user(name: str) -> Subject:
    return Subject(kind="User", name=name)


def ask(verb: str, target: str, namespace: str = "", name: str = "", *, group: str = "", by: User = ALICE) -> Attributes:
    resource, _, subresource = target.partition("/")
    return Attributes(by, verb, group, "v1", resource, subresource, namespace, name)


def visit(verb: str, path: str) -> Attributes:
    return Attributes(ALICE, verb, path=path, is_resource=False)


def test_cluster_roles_reach_everywhere_and_roles_one_namespace() -> None:
    rbac = RbacAuthorizer(
        DictObjectSource(
            cluster_role("nodes", rule("get list", "core", "nodes")),
            bind_cluster("b", "nodes", user("alice")),
            role("shop", "pods", rule("get", "core", "pods")),
            bind("shop", "b", "pods", user("alice")),
            cluster_role("secrets", rule("get", "core", "secrets")),
            bind("shop", "c", "secrets", user("alice"), kind="ClusterRole"),
        )
    )
    assert rbac.authorize(ask("list", "nodes")).allowed
    assert not rbac.authorize(ask("delete", "nodes")).allowed
    assert rbac.authorize(ask("get", "pods", "shop")).allowed
    assert not rbac.authorize(ask("get", "pods", "bank")).allowed
    assert not rbac.authorize(ask("get", "pods")).allowed
    assert rbac.authorize(ask("get", "secrets", "shop")).allowed
    assert not rbac.authorize(ask("get", "secrets")).allowed
    assert not rbac.authorize(ask("get", "pods", "shop", by=User("bob"))).allowed


def test_the_reason_names_the_binding() -> None:
    rbac = RbacAuthorizer(
        DictObjectSource(
            cluster_role("r", rule("get", "core", "pods")),
            bind_cluster("all", "r", Subject(kind="Group", name="dev")),
            role("shop", "s", rule("get", "core", "secrets")),
            bind("shop", "one", "s", Subject(kind="ServiceAccount", name="web")),
        )
    )
    assert rbac.authorize(ask("get", "pods")).reason == 'RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "r" to Group "dev"'
    account = User("system:serviceaccount:shop:web")
    reason = rbac.authorize(ask("get", "secrets", "shop", by=account)).reason
    assert reason == 'RBAC: allowed by RoleBinding "one/shop" of Role "s" to ServiceAccount "web/shop"'


@pytest.mark.parametrize(
    ("held", "target", "allowed"),
    [
        ("pods", "pods", True),
        ("pods", "pods/log", False),
        ("pods/log", "pods/log", True),
        ("pods/log", "pods", False),
        ("*/scale", "deployments/scale", True),
        ("*/scale", "deployments", False),
        ("*", "pods/exec", True),
        ("pods/*", "pods/exec", False),
    ],
)
def test_resources_and_subresources(held: str, target: str, allowed: bool) -> None:
    rbac = RbacAuthorizer(DictObjectSource(cluster_role("r", rule("get", "*", held)), bind_cluster("b", "r", user("alice"))))
    assert rbac.authorize(ask("get", target, "shop", group="apps")).allowed is allowed


def test_resource_names() -> None:
    rbac = RbacAuthorizer(
        DictObjectSource(cluster_role("r", rule("get list create", "core", "configmaps", "a b")), bind_cluster("b", "r", user("alice")))
    )
    assert rbac.authorize(ask("get", "configmaps", "shop", "a")).allowed
    assert rbac.authorize(ask("list", "configmaps", "shop", "b")).allowed
    assert not rbac.authorize(ask("get", "configmaps", "shop", "c")).allowed
    assert not rbac.authorize(ask("list", "configmaps", "shop")).allowed
    assert not rbac.authorize(ask("create", "configmaps", "shop")).allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/healthz", True), ("/healthz/etcd", False), ("/apis", True), ("/apis/apps", True), ("/api", False), ("/metrics", False)],
)
def test_paths(path: str, allowed: bool) -> None:
    role = cluster_role("r", PolicyRule(verbs=["get"], nonResourceURLs=["/healthz", "/apis*"]))
    rbac = RbacAuthorizer(DictObjectSource(role, bind_cluster("b", "r", user("alice"))))
    assert rbac.authorize(visit("get", path)).allowed is allowed
    assert not rbac.authorize(visit("post", path)).allowed


def test_changes_count_at_once() -> None:
    source = DictObjectSource()
    rbac = RbacAuthorizer(source)
    question = ask("get", "pods", "shop")
    binding = bind("shop", "b", "r", user("alice"))
    assert not rbac.authorize(question).allowed
    source.put(binding)
    assert not rbac.authorize(question).allowed
    source.put(role("shop", "r", rule("get", "core", "pods")))
    assert rbac.authorize(question).allowed
    source.put(role("shop", "r", rule("list", "core", "pods")))
    assert not rbac.authorize(question).allowed
    source.put(role("shop", "r", rule("get", "core", "pods")))
    source.put(bind("shop", "b", "r", user("bob")))
    assert not rbac.authorize(question).allowed
    source.put(binding)
    assert rbac.authorize(question).allowed
    source.remove(binding)
    assert not rbac.authorize(question).allowed
    source.put(binding)
    source.remove(role("shop", "r"))
    assert not rbac.authorize(question).allowed


VERBS = st.lists(st.sampled_from(["get", "list", "*"]), min_size=1, max_size=2)
GROUPS = st.lists(st.sampled_from(["", "apps", "*"]), min_size=1, max_size=2)
RESOURCES = st.lists(st.sampled_from(["pods", "pods/log", "*/log", "*"]), min_size=1, max_size=2)
NAMES = st.lists(st.sampled_from(["a", "b"]), max_size=2)
RULES = st.builds(lambda v, g, r, n: PolicyRule(verbs=v, apiGroups=g, resources=r, resourceNames=n), VERBS, GROUPS, RESOURCES, NAMES)
QUESTIONS = st.builds(
    lambda verb, target, group, name: ask(verb, target, "shop", name, group=group),
    st.sampled_from(["get", "list", "delete"]),
    st.sampled_from(["pods", "pods/log", "jobs", "jobs/log"]),
    st.sampled_from(["", "apps", "batch"]),
    st.sampled_from(["", "a", "b", "c"]),
)


@given(st.lists(RULES, max_size=4), st.lists(QUESTIONS, min_size=1, max_size=6))
def test_remembered_answers_are_those_of_the_rules(rules: list[PolicyRule], questions: list[Attributes]) -> None:
    rbac = RbacAuthorizer(DictObjectSource(cluster_role("r", *rules), bind_cluster("b", "r", user("alice"))))
    for question in [*questions, *questions]:
        assert rbac.authorize(question).allowed == rules_allow(rules, question)


@given(st.lists(RULES, max_size=3), st.lists(RULES, max_size=3), QUESTIONS)
def test_covered_rules_allow_nothing_more(held: list[PolicyRule], wanted: list[PolicyRule], question: Attributes) -> None:
    if not uncovered(held, wanted) and rules_allow(wanted, question):
        assert rules_allow(held, question)


def test_uncovered_parts_are_told_one_by_one() -> None:
    missing = uncovered([rule("get", "core", "pods")], [rule("get list", "core", "pods secrets")])
    assert missing == [rule("get", "core", "secrets"), rule("list", "core", "pods"), rule("list", "core", "secrets")]
    assert uncovered([rule("get", "core", "pods", "a")], [rule("get", "core", "pods")])
    assert not uncovered([rule("get", "core", "pods")], [rule("get", "core", "pods", "a")])


def test_refusals_read_as_upstream() -> None:
    error = refusal(ask("list", "pods", "shop"))
    assert error.message == 'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "shop"'
    assert error.details is not None
    assert error.details.kind == "pods"
    named = refusal(ask("get", "deployments/scale", "shop", "web", group="apps"))
    assert named.message == (
        'deployments.apps "web" is forbidden: User "alice" cannot get resource "deployments/scale" in API group "apps" '
        'in the namespace "shop"'
    )
    assert refusal(ask("list", "nodes")).message.endswith("at the cluster scope")
    assert refusal(visit("get", "/metrics")).message == 'forbidden: User "alice" cannot get path "/metrics"'


@pytest.mark.parametrize(
    ("selector", "name"),
    [("", ""), ("metadata.name=a", "a"), ("x=y,metadata.name==b", "b"), ("metadata.name!=c", ""), ("metadata.namespace=d", "")],
)
def test_the_name_that_a_field_selector_asks_for(selector: str, name: str) -> None:
    assert selected_name(selector) == name


def guard(*objects: Role | ClusterRole | RoleBinding | ClusterRoleBinding) -> EscalationGuard:
    rbac = RbacAuthorizer(DictObjectSource(*objects))
    return EscalationGuard(rbac, AuthorizerChain([Superusers(), rbac]))


HOLDS_PODS = (cluster_role("pods", rule("get list", "core", "pods")), bind_cluster("b", "pods", user("alice")))


def test_a_role_may_hold_what_its_writer_holds() -> None:
    checks = guard(*HOLDS_PODS)
    checks.check_role(ALICE, role("shop", "r", rule("get", "core", "pods", "a")))
    with pytest.raises(Forbidden) as caught:
        checks.check_role(ALICE, role("shop", "r", rule("get delete", "core", "pods secrets")))
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["dev" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}'
    )
    checks.check_role(ROOT, role("shop", "r", rule("*", "*", "*")))


def test_the_verb_escalate_lifts_the_rule() -> None:
    allowed = guard(cluster_role("e", rule("escalate", "rbac.authorization.k8s.io", "roles", "r")), bind_cluster("b", "e", user("alice")))
    allowed.check_role(ALICE, role("shop", "r", rule("*", "*", "*")))
    with pytest.raises(Forbidden):
        allowed.check_role(ALICE, role("shop", "other", rule("*", "*", "*")))


def test_an_update_that_leaves_the_rules_alone_passes() -> None:
    old = role("shop", "r", rule("*", "*", "*"))
    guard().check_role(ALICE, role("shop", "r", rule("*", "*", "*")), old)
    with pytest.raises(Forbidden):
        guard().check_role(ALICE, role("shop", "r", rule("get", "*", "*")), old)


def test_aggregation_needs_everything() -> None:
    gathers = cluster_role("g")
    gathers.aggregationRule = AggregationRule(clusterRoleSelectors=[LabelSelector(matchLabels={"a": "b"})])
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        guard(*HOLDS_PODS).check_role(ALICE, gathers)
    everything = cluster_role("root", rule("*", "*", "*"), PolicyRule(verbs=["*"], nonResourceURLs=["*"]))
    guard(everything, bind_cluster("b", "root", user("alice"))).check_role(ALICE, gathers)


def test_binding_needs_the_rules_or_the_verb_bind() -> None:
    root = cluster_role("root", rule("*", "*", "*"))
    checks = guard(*HOLDS_PODS, root)
    checks.check_binding(ALICE, bind("shop", "x", "pods", user("bob"), kind="ClusterRole"))
    for binding in (bind("shop", "x", "root", user("bob"), kind="ClusterRole"), bind_cluster("x", "root", user("bob"))):
        with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
            checks.check_binding(ALICE, binding)
        checks.check_binding(ROOT, binding)
    binder = cluster_role("binder", rule("bind", "rbac.authorization.k8s.io", "clusterroles", "root"))
    guard(root, binder, bind_cluster("b", "binder", user("alice"))).check_binding(ALICE, bind_cluster("x", "root", user("bob")))


def test_binding_what_does_not_exist() -> None:
    with pytest.raises(NotFound, match=r'roles\.rbac\.authorization\.k8s\.io "r" not found'):
        guard().check_binding(ALICE, bind("shop", "x", "r", user("bob")))
    guard().check_binding(ROOT, bind("shop", "x", "r", user("bob")))


def test_an_update_that_adds_nobody_passes() -> None:
    root = cluster_role("root", rule("*", "*", "*"))
    old = bind_cluster("x", "root", user("bob"), user("eve"))
    guard(root).check_binding(ALICE, bind_cluster("x", "root", user("bob")), old)
    with pytest.raises(Forbidden):
        guard(root).check_binding(ALICE, bind_cluster("x", "root", user("bob"), user("mallory")), old)


def test_a_rule_of_countless_parts_is_refused_by_the_first_of_them() -> None:
    many = [f"x{number}" for number in range(3000)]
    assert len(uncovered([], [PolicyRule(verbs=many, apiGroups=many, resources=many)])) == MOST_TOLD
