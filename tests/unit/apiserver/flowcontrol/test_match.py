"""Match of requests to flows."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from collections import Counter

import pytest

from tiphys.api.helpers.flow_levels import MANDATORY_SCHEMAS, SUGGESTED_SCHEMAS
from tiphys.apiserver.auth.user import User
from tiphys.apiserver.chain.routes import RequestInfo, resolve
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.flowcontrol.match import deal, distinguisher, matches
from tiphys.wire.http import Request

EVERYBODY = "system:authenticated"
ADMIN = User("admin", groups=("system:masters", EVERYBODY))
NODE = User("system:node:a", groups=("system:nodes", EVERYBODY))
ACCOUNT = User("system:serviceaccount:team:bot", groups=("system:serviceaccounts", "system:serviceaccounts:team", EVERYBODY))
SYSTEM_ACCOUNT = User("system:serviceaccount:kube-system:dns", groups=("system:serviceaccounts", EVERYBODY))
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/a"


def asked(method: str, path: str) -> RequestInfo:
    return resolve(Request(method, path))


@pytest.mark.parametrize(
    ("user", "method", "path", "schema", "level", "name"),
    [
        (ADMIN, "GET", "/api/v1/pods", "exempt", "exempt", "admin"),
        (User("system:anonymous", groups=("system:unauthenticated",)), "GET", "/healthz", "probes", "exempt", "system:anonymous"),
        (User("alice", groups=(EVERYBODY,)), "GET", "/livez/etcd", "probes", "exempt", "alice"),
        (User("alice", groups=(EVERYBODY,)), "GET", "/version", "global-default", "global-default", "alice"),
        (User("system:kube-scheduler", groups=(EVERYBODY,)), "PUT", LEASE, "system-leader-election", "leader-election", "system:kube-scheduler"),
        (User("system:kube-scheduler", groups=(EVERYBODY,)), "GET", "/api/v1/namespaces/a/pods/b", "kube-scheduler", "workload-high", "a"),
        (NODE, "PATCH", "/api/v1/nodes/a/status", "system-node-high", "node-high", "system:node:a"),
        (NODE, "GET", "/api/v1/nodes/a/proxy", "system-nodes", "system", "system:node:a"),
        (NODE, "GET", "/api/v1/namespaces/a/pods/b", "system-nodes", "system", "system:node:a"),
        (ACCOUNT, "GET", "/api/v1/namespaces/a/pods/b", "service-accounts", "workload-low", ACCOUNT.name),
        (SYSTEM_ACCOUNT, "GET", "/api/v1/namespaces/a", "kube-system-service-accounts", "workload-high", "a"),
        (SYSTEM_ACCOUNT, "GET", LEASE, "system-leader-election", "leader-election", SYSTEM_ACCOUNT.name),
        (User("nobody"), "GET", "/api/v1/pods", "catch-all", "catch-all", "nobody"),
    ],
)  # fmt: skip
def test_default_schemas_and_levels(user: User, method: str, path: str, schema: str, level: str, name: str) -> None:
    flow = Fairness(seats=600, json_headers={}).flow_of(user, asked(method, path))
    assert (flow.lane.schema, flow.level.name, flow.name) == (schema, level, name)


def test_namespaces_and_cluster_scope() -> None:
    schema = SUGGESTED_SCHEMAS["system-leader-election"]
    manager = User("system:kube-controller-manager")
    assert matches(schema, manager, asked("GET", LEASE), "kube-system")
    assert not matches(schema, manager, asked("GET", "/apis/coordination.k8s.io/v1/leases"), "")
    assert not matches(schema, manager, asked("DELETE", LEASE), "kube-system")


def test_flows_of_a_custom_kind_called_namespaces_are_those_of_the_namespace_they_are_in() -> None:
    fairness, user = Fairness(seats=600, json_headers={}), User("system:kube-scheduler", groups=(EVERYBODY,))
    names = [fairness.flow_of(user, asked("GET", f"/apis/example.com/v1/namespaces/{n}/namespaces/x")).name for n in ("a", "b")]
    assert names == ["a", "b"]


def test_distinguishers() -> None:
    assert distinguisher(MANDATORY_SCHEMAS["exempt"], ADMIN, "a") == ""
    assert distinguisher(MANDATORY_SCHEMAS["catch-all"], ADMIN, "a") == "admin"
    assert distinguisher(SUGGESTED_SCHEMAS["kube-scheduler"], ADMIN, "a") == "a"


def test_hands_are_different_queues_evenly_chosen() -> None:
    seen: Counter[int] = Counter()
    for number in range(4000):
        hand = deal("schema", str(number), 16, 4)
        assert len(set(hand)) == 4
        assert set(hand) <= set(range(16))
        seen.update(hand)
    assert max(seen.values()) < 1.15 * min(seen.values())
    assert sorted(deal("a", "b", 3, 3)) == [0, 1, 2]
    assert deal("a", "b", 64, 6) == deal("a", "b", 64, 6) != deal("a", "c", 64, 6)
