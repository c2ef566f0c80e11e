"""Aggregated ClusterRoles against the real API server."""

from __future__ import annotations

import pytest

from tests.integration.controllers.conftest import Cluster
from tiphys.api.authorization import v1 as authorization
from tiphys.api.machinery.errors import Conflict
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.api.rbac import v1 as rbac
from tiphys.testing import eventually

TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"


def rule(resource: str) -> rbac.PolicyRule:
    return rbac.PolicyRule(verbs=["get"], apiGroups=["example.com"], resources=[resource])


def part(name: str, *resources: str, label: str = "part") -> rbac.ClusterRole:
    return rbac.ClusterRole(metadata=ObjectMeta(name=name, labels={label: "true"}), rules=[rule(one) for one in resources])


def whole(name: str, *labels: str) -> rbac.ClusterRole:
    selectors = [LabelSelector(matchLabels={label: "true"}) for label in labels]
    return rbac.ClusterRole(metadata=ObjectMeta(name=name), aggregationRule=rbac.AggregationRule(clusterRoleSelectors=selectors))


async def rules_are(cluster: Cluster, name: str, *resources: str) -> rbac.ClusterRole:
    async def check() -> rbac.ClusterRole:
        found = await cluster.client.get(rbac.ClusterRole, name)
        assert (found.rules or []) == [rule(one) for one in resources]
        return found

    return await eventually(check)


async def test_rules_follow_the_roles_that_are_selected(cluster: Cluster) -> None:
    async with cluster.controllers() as manager:
        await cluster.client.create(part("b", "boxes", "cans"))
        await cluster.client.create(whole("all", "part", "more"))
        await rules_are(cluster, "all", "boxes", "cans")
        await cluster.client.create(part("a", "apples", "cans"))
        await rules_are(cluster, "all", "apples", "cans", "boxes")
        await cluster.client.create(part("0", "zebras", label="more"))
        found = await rules_are(cluster, "all", "apples", "cans", "boxes", "zebras")
        owners = [entry.operation for entry in found.metadata.managedFields if entry.manager == "clusterrole-aggregation-controller"]
        assert owners == ["Apply"]
        await cluster.client.patch(rbac.ClusterRole, "b", body={"rules": []})
        await rules_are(cluster, "all", "apples", "cans", "zebras")
        await cluster.client.patch(rbac.ClusterRole, "a", body={"metadata": {"labels": {"part": None}}})
        await rules_are(cluster, "all", "zebras")
        await cluster.client.delete(rbac.ClusterRole, "0")
        await rules_are(cluster, "all")
        await eventually(lambda: manager.idle)


async def test_the_default_roles_are_complete_from_the_start(cluster: Cluster) -> None:
    names = ("view", "edit", "admin")
    before = [(await cluster.client.get(rbac.ClusterRole, name)).metadata.resourceVersion for name in names]
    async with cluster.controllers() as manager:
        await eventually(lambda: manager.idle)
    assert [(await cluster.client.get(rbac.ClusterRole, name)).metadata.resourceVersion for name in names] == before


async def test_rules_written_by_others_are_replaced(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(part("a", "apples"))
        await cluster.client.create(whole("all", "part"))
        await rules_are(cluster, "all", "apples")
        await cluster.client.patch(rbac.ClusterRole, "all", body={"rules": [rule("everything")]})
        await rules_are(cluster, "all", "apples")


async def test_a_role_joins_the_default_roles(cluster: Cluster) -> None:
    """As definitions of custom kinds bring roles for their kinds; view is part of edit, and edit of admin."""
    async with cluster.controllers():
        await cluster.client.create(part("crontabs-view", "crontabs", label=TO_VIEW))
        for name in ("view", "edit", "admin"):

            async def has_it(name: str = name) -> bool:
                return rule("crontabs") in ((await cluster.client.get(rbac.ClusterRole, name)).rules or [])

            await eventually(has_it)
        subject = rbac.Subject(kind="User", apiGroup="rbac.authorization.k8s.io", name="jane")
        ref = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="edit")
        await cluster.client.create(rbac.ClusterRoleBinding(metadata=ObjectMeta(name="jane"), subjects=[subject], roleRef=ref))

        async def may_get() -> bool:
            wanted = authorization.ResourceAttributes(verb="get", group="example.com", resource="crontabs", namespace="default")
            review = authorization.SubjectAccessReview(spec=authorization.SubjectAccessReviewSpec(user="jane", resourceAttributes=wanted))
            return (await cluster.client.create(review)).status.allowed

        await eventually(may_get)


async def test_a_role_that_is_deleted_does_not_come_back(cluster: Cluster) -> None:
    async with cluster.controllers() as manager:
        for number in range(10):
            await cluster.client.create(whole(f"all-{number}", "part"))
        await cluster.client.create(part("a", "apples"))
        for number in range(10):
            await cluster.client.delete(rbac.ClusterRole, f"all-{number}")
        await eventually(lambda: manager.idle)
        # What a loop does whose cache is behind.
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all-1", "uid": "gone"}}
        with pytest.raises(Conflict):
            await cluster.client.patch(rbac.ClusterRole, "all-1", body=body, kind="apply", field_manager="test", force=True)
        names = {role.metadata.name for role in (await cluster.client.list(rbac.ClusterRole)).items}
        assert not [name for name in names if name.startswith("all-")]
