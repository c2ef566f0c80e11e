"""The roles a cluster starts with: what they allow, and how they come back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from tiphys.api.well_known import LOCAL_PATH_USER, LOCAL_PATH_USERS
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.defaults import AUTO_UPDATE, RbacObject, aggregation_updates, default_objects, parse_rules, reconcile_defaults
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.rules import uncovered
from tiphys.apiserver.auth.user import User, service_account_user
from tiphys.testing.object_source import DictObjectSource


def copies() -> list[RbacObject]:
    return [msgspec.convert(msgspec.to_builtins(obj), type(obj)) for obj in default_objects()]


def find(objects: list[RbacObject], kind: str, name: str) -> RbacObject:
    return next(obj for obj in objects if (obj.kind, obj.metadata.name) == (kind, name))


def as_user(name: str, *groups: str) -> User:
    return User(name, groups=(*groups, "system:authenticated"))


LOCAL_PATH = as_user(f"{LOCAL_PATH_USER}n1", LOCAL_PATH_USERS)
CONTROLLER = service_account_user("kube-system", "deployment-controller")


@pytest.mark.parametrize(
    ("user", "verb", "group", "resource", "namespace", "allowed"),
    [
        (as_user("x"), "create", "authorization.k8s.io", "selfsubjectaccessreviews", "", True),
        (as_user("x"), "create", "authentication.k8s.io", "selfsubjectreviews", "", True),
        (as_user("x"), "get", "", "pods", "default", False),
        (as_user("r", "system:masters"), "deletecollection", "example.com", "widgets", "", True),
        (as_user("system:kube-scheduler"), "create", "", "pods/binding", "default", True),
        (as_user("system:kube-scheduler"), "update", "coordination.k8s.io", "leases", "kube-system", True),
        (as_user("system:kube-scheduler"), "get", "", "secrets", "default", False),
        (as_user("system:kube-controller-manager"), "watch", "apps", "deployments", "", True),
        (as_user("system:kube-controller-manager"), "create", "", "pods", "default", True),
        (as_user("system:kube-controller-manager"), "create", "", "pods/exec", "default", False),
        (as_user("system:kube-proxy"), "watch", "discovery.k8s.io", "endpointslices", "", True),
        (as_user("system:node:n1", "system:nodes"), "watch", "", "services", "", True),
        (as_user("system:node:n1", "system:nodes"), "watch", "discovery.k8s.io", "endpointslices", "", True),
        (as_user("system:node:n1", "system:nodes"), "list", "", "secrets", "", False),
        (LOCAL_PATH, "create", "", "persistentvolumes", "", True),
        (LOCAL_PATH, "patch", "", "persistentvolumeclaims/status", "default", True),
        (LOCAL_PATH, "create", "storage.k8s.io", "csistoragecapacities", "kube-system", True),
        (LOCAL_PATH, "create", "storage.k8s.io", "csistoragecapacities", "default", False),
        (LOCAL_PATH, "delete", "", "persistentvolumeclaims", "default", False),
        (LOCAL_PATH, "get", "", "secrets", "kube-system", False),
        (LOCAL_PATH, "patch", "", "nodes", "", False),
        (CONTROLLER, "create", "apps", "replicasets", "default", True),
        (CONTROLLER, "patch", "events.k8s.io", "events", "default", True),
        (CONTROLLER, "delete", "apps", "deployments", "default", False),
    ],
)
def test_default_roles_of_resources(user: User, verb: str, group: str, resource: str, namespace: str, allowed: bool) -> None:
    rbac = RbacAuthorizer(DictObjectSource(*default_objects()))
    name, _, subresource = resource.partition("/")
    assert rbac.authorize(Attributes(user, verb, group, "v1", name, subresource, namespace)).allowed is allowed


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        (User("system:anonymous", groups=("system:unauthenticated",)), "/version", True),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/readyz", True),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/apis", False),
        (as_user("x"), "/apis/apps/v1", True),
        (as_user("x"), "/openapi/v3", True),
        (as_user("x"), "/metrics", False),
        (as_user("m", "system:monitoring"), "/metrics", True),
        (User("a", groups=("system:serviceaccounts",)), "/openid/v1/jwks", True),
    ],
)
def test_default_roles_of_paths(user: User, path: str, allowed: bool) -> None:
    rbac = RbacAuthorizer(DictObjectSource(*default_objects()))
    assert rbac.authorize(Attributes(user, "get", path=path, is_resource=False)).allowed is allowed


@pytest.mark.parametrize(
    ("role", "verb", "group", "resource", "allowed"),
    [
        ("view", "list", "apps", "deployments", True),
        ("view", "get", "", "secrets", False),
        ("view", "create", "", "pods", False),
        ("edit", "get", "", "secrets", True),
        ("edit", "create", "", "pods/exec", True),
        ("edit", "list", "apps", "deployments", True),
        ("edit", "create", "rbac.authorization.k8s.io", "roles", False),
        ("admin", "create", "rbac.authorization.k8s.io", "rolebindings", True),
        ("admin", "delete", "apps", "deployments", True),
        ("admin", "update", "", "resourcequotas", False),
    ],
)
def test_roles_for_people(role: str, verb: str, group: str, resource: str, allowed: bool) -> None:
    binding = RoleBinding(
        metadata=ObjectMeta(name="b", namespace="shop"), subjects=[Subject(kind="User", name="u")],
        roleRef=RoleRef(kind="ClusterRole", name=role),
    )  # fmt: skip
    rbac = RbacAuthorizer(DictObjectSource(*default_objects(), binding))
    name, _, subresource = resource.partition("/")
    assert rbac.authorize(Attributes(User("u"), verb, group, "v1", name, subresource, "shop")).allowed is allowed


def test_an_empty_cluster_gets_everything_and_a_full_one_nothing() -> None:
    assert [write.action for write in reconcile_defaults([])] == ["create"] * len(default_objects())
    assert reconcile_defaults(default_objects()) == []


def test_every_role_bound_exists() -> None:
    objects = default_objects()
    roles = {(obj.kind, obj.metadata.namespace, obj.metadata.name) for obj in objects}
    for binding in objects:
        if isinstance(binding, ClusterRoleBinding | RoleBinding):
            ref = binding.roleRef
            assert (ref.kind, binding.metadata.namespace if ref.kind == "Role" else "", ref.name) in roles


def test_removed_rules_come_back_and_added_ones_stay() -> None:
    existing = copies()
    role = find(existing, "ClusterRole", "system:discovery")
    assert isinstance(role, ClusterRole)
    role.rules = [PolicyRule(verbs=["get"], nonResourceURLs=["/mine"])]
    role.metadata.labels = {"team": "x"}
    binding = find(existing, "ClusterRoleBinding", "system:basic-user")
    assert isinstance(binding, ClusterRoleBinding)
    binding.subjects = [Subject(kind="User", name="guest")]
    writes = {write.object.metadata.name: write for write in reconcile_defaults(existing)}
    assert set(writes) == {"system:discovery", "system:basic-user"}
    restored = writes["system:discovery"].object
    assert isinstance(restored, ClusterRole)
    assert writes["system:discovery"].action == "update"
    assert (restored.rules or [])[0].nonResourceURLs == ["/mine"]
    assert {url for rule in restored.rules or [] for url in rule.nonResourceURLs} >= {"/mine", "/apis/*", "/version"}
    assert restored.metadata.labels == {"team": "x", "kubernetes.io/bootstrapping": "rbac-defaults"}
    bound = writes["system:basic-user"].object
    assert isinstance(bound, ClusterRoleBinding)
    assert [subject.name for subject in bound.subjects] == ["guest", "system:authenticated"]
    assert role.rules == [PolicyRule(verbs=["get"], nonResourceURLs=["/mine"])]


def test_objects_that_opted_out_are_left_alone() -> None:
    existing = copies()
    role = find(existing, "ClusterRole", "system:discovery")
    assert isinstance(role, ClusterRole)
    role.rules = []
    role.metadata.annotations[AUTO_UPDATE] = "false"
    assert reconcile_defaults(existing) == []


def test_a_binding_to_another_role_is_replaced() -> None:
    existing = copies()
    binding = find(existing, "ClusterRoleBinding", "system:discovery")
    assert isinstance(binding, ClusterRoleBinding)
    binding.roleRef.name = "cluster-admin"
    [write] = reconcile_defaults(existing)
    assert (write.action, write.object.metadata.name) == ("replace", "system:discovery")


def test_a_new_role_joins_the_roles_that_gather_it() -> None:
    roles = [obj for obj in copies() if isinstance(obj, ClusterRole)]
    assert aggregation_updates(roles) == []
    mine = PolicyRule(verbs=["get"], apiGroups=["example.com"], resources=["widgets"])
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    updates = aggregation_updates([*roles, ClusterRole(metadata=ObjectMeta(name="widgets", labels=labels), rules=[mine])])
    assert {role.metadata.name for role in updates} == {"view", "edit", "admin"}
    assert all(mine in (role.rules or []) for role in updates)


def test_roles_that_gather_each_other_come_to_rest() -> None:
    roles = [obj for obj in copies() if isinstance(obj, ClusterRole)]
    view = next(role for role in roles if role.metadata.name == "view")
    view.metadata.labels["rbac.authorization.k8s.io/aggregate-to-view"] = "true"
    updates = aggregation_updates(roles)
    done = {role.metadata.name: role for role in updates}
    assert aggregation_updates([done.get(role.metadata.name, role) for role in roles]) == []


@pytest.mark.parametrize("line", ["get", "get | core", "get | core | ", "| core | pods", "get | core | pods | "])
def test_rejects_invalid_notation(line: str) -> None:
    with pytest.raises(ValueError, match="not a rule"):
        parse_rules(line)


def test_every_default_role_allows_what_upstreams_does() -> None:
    """Upstream's own controllers run with these roles, also those that have no counterpart here yet."""
    ours = {(one.kind, one.metadata.namespace, one.metadata.name): one for one in copies() if isinstance(one, ClusterRole | Role)}
    lacking = []
    for row in (Path(__file__).parents[3] / "data" / "roles-1.36.tsv").read_text().splitlines():
        kind, namespace, name, rule = row.split("\t")
        role = ours.get((kind, namespace, name))
        if role is None or uncovered(role.rules or [], parse_rules(rule)):
            lacking.append(f"{name}: {rule}")
    assert lacking == []
