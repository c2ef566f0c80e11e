"""The review APIs."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import pytest

from tiphys.api.authentication.v1 import SelfSubjectReview, TokenReview, TokenReviewSpec
from tiphys.api.authorization.v1 import (
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
)
from tiphys.api.core.v1 import Pod
from tiphys.api.machinery.errors import BadRequest, Invalid
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.auth.authenticate import BearerAuthenticator, TokenFile
from tiphys.apiserver.auth.authorizer import AuthorizerChain, Superusers
from tiphys.apiserver.auth.defaults import default_objects
from tiphys.apiserver.auth.node import NodeAuthorizer
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.review import Reviewer
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource

T = TypeVar("T", bound=KubeObject)
SCHEDULER = User("system:kube-scheduler", "7", ("system:authenticated",), {"a": ("b",)})
NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


@pytest.fixture
def reviewer() -> Reviewer:
    source = DictObjectSource(*default_objects())
    rbac = RbacAuthorizer(source)
    chain = AuthorizerChain([Superusers(), NodeAuthorizer(source), rbac])
    tokens = BearerAuthenticator([TokenFile.parse(['t,alice,u1,"dev"'], audiences=["api"])])
    return Reviewer(tokens=tokens, audiences=["api"], authorizer=chain, rbac=rbac)


def make(type_: type[T], **spec: object) -> T:
    return msgspec.convert({"spec": spec}, type_)


async def test_token_review(reviewer: Reviewer) -> None:
    status = (await reviewer.review(TokenReview(spec=TokenReviewSpec(token="t")), SCHEDULER)).status
    assert status.authenticated
    assert (status.user.username, status.user.uid, status.user.groups) == ("alice", "u1", ["dev", "system:authenticated"])
    assert status.audiences == ["api"]


async def test_token_review_of_strangers(reviewer: Reviewer) -> None:
    assert not (await reviewer.review(TokenReview(spec=TokenReviewSpec(token="no")), SCHEDULER)).status.authenticated
    foreign = TokenReview(spec=TokenReviewSpec(token="t", audiences=["vault"]))
    assert not (await reviewer.review(foreign, SCHEDULER)).status.authenticated
    with pytest.raises(BadRequest):
        await reviewer.review(TokenReview(), SCHEDULER)


async def test_self_subject_review(reviewer: Reviewer) -> None:
    info = (await reviewer.review(SelfSubjectReview(), SCHEDULER)).status.userInfo
    assert msgspec.to_builtins(info) == {
        "username": "system:kube-scheduler",
        "uid": "7",
        "groups": ["system:authenticated"],
        "extra": {"a": ["b"]},
    }


@pytest.mark.parametrize(("verb", "allowed"), [("list", True), ("create", False)])
async def test_can_i(reviewer: Reviewer, verb: str, allowed: bool) -> None:
    review = make(SelfSubjectAccessReview, resourceAttributes={"verb": verb, "resource": "pods", "namespace": "shop"})
    status = (await reviewer.review(review, SCHEDULER)).status
    assert status.allowed is allowed
    assert status.reason.startswith("RBAC: allowed by ClusterRoleBinding") is allowed


async def test_subject_access_review(reviewer: Reviewer) -> None:
    review = make(SubjectAccessReview, user="x", groups=["system:masters"], nonResourceAttributes={"verb": "get", "path": "/metrics"})
    assert (await reviewer.review(review, SCHEDULER)).status.allowed
    review = make(SubjectAccessReview, user="x", nonResourceAttributes={"verb": "get", "path": "/metrics"})
    assert not (await reviewer.review(review, SCHEDULER)).status.allowed


async def test_field_selectors_count(reviewer: Reviewer) -> None:
    pods = {"verb": "list", "resource": "pods"}
    requirement = {"key": "spec.nodeName", "operator": "In", "values": ["n1"]}
    node = {"user": "system:node:n1", "groups": ["system:nodes"]}
    assert not (await reviewer.review(make(SubjectAccessReview, **node, resourceAttributes=pods), SCHEDULER)).status.allowed
    for selector in ({"requirements": [requirement]}, {"rawSelector": "spec.nodeName=n1"}):
        review = make(SubjectAccessReview, **node, resourceAttributes={**pods, "fieldSelector": selector})
        assert (await reviewer.review(review, SCHEDULER)).status.allowed


async def test_local_reviews_stay_in_their_namespace(reviewer: Reviewer) -> None:
    where = {"verb": "list", "resource": "pods", "namespace": "shop"}
    user = "system:kube-scheduler"
    assert (await reviewer.review(make(LocalSubjectAccessReview, user=user, resourceAttributes=where), NODE, "shop")).status.allowed
    with pytest.raises(Invalid, match=r"spec\.resourceAttributes\.namespace"):
        await reviewer.review(make(LocalSubjectAccessReview, user=user, resourceAttributes=where), NODE, "bank")
    path = {"verb": "get", "path": "/"}
    with pytest.raises(Invalid, match="disallowed on this kind of request"):
        await reviewer.review(make(LocalSubjectAccessReview, user=user, nonResourceAttributes=path), NODE, "shop")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"user": "x"}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        ({"user": "x", "resourceAttributes": {}, "nonResourceAttributes": {}}, "cannot be specified in combination"),
        ({"resourceAttributes": {}}, "at least one of user or group must be specified"),
    ],
)
async def test_rejects_invalid_reviews(reviewer: Reviewer, spec: dict[str, object], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        await reviewer.review(make(SubjectAccessReview, **spec), SCHEDULER)


async def test_self_subject_rules_review(reviewer: Reviewer) -> None:
    status = (await reviewer.review(make(SelfSubjectRulesReview, namespace="shop"), SCHEDULER)).status
    assert any("pods/binding" in rule.resources for rule in status.resourceRules)
    assert any("/version" in rule.nonResourceURLs for rule in status.nonResourceRules)
    assert not status.incomplete
    status = (await reviewer.review(make(SelfSubjectRulesReview, namespace="shop"), NODE)).status
    assert status.incomplete
    with pytest.raises(BadRequest):
        await reviewer.review(SelfSubjectRulesReview(), SCHEDULER)


async def test_other_kinds_are_no_reviews(reviewer: Reviewer) -> None:
    with pytest.raises(BadRequest):
        await reviewer.review(Pod(), SCHEDULER)
