"""Authentication of requests."""

from __future__ import annotations

import base64

import pytest

from tiphys.api.machinery.errors import BadRequest, Forbidden, Unauthorized
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from tiphys.apiserver.auth.authenticate import AuthenticatorChain, BearerAuthenticator, CertificateAuthenticator, TokenFile
from tiphys.apiserver.auth.impersonate import impersonate
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource
from tiphys.wire.http import PeerIdentity, Request

TOKENS = TokenFile.parse(['s3cret,alice,u1,"dev, ops"', "", "other,bob,u2"], audiences=["api"])


def chain(*, anonymous: bool = True) -> AuthenticatorChain:
    return AuthenticatorChain([CertificateAuthenticator(), BearerAuthenticator([TOKENS])], anonymous=anonymous)


def request(**headers: str) -> Request:
    return Request("GET", "/", headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_certificate_gives_user_and_groups() -> None:
    peer = PeerIdentity(common_name="kubernetes-admin", organizations=("system:masters",))
    user = await chain().authenticate(Request("GET", "/", peer=peer))
    assert user == User("kubernetes-admin", groups=("system:masters", "system:authenticated"))


async def test_a_certificate_cannot_claim_to_be_unauthenticated() -> None:
    peer = PeerIdentity(common_name="x", organizations=("system:unauthenticated",))
    assert (await chain().authenticate(Request("GET", "/", peer=peer))).groups == ("system:authenticated",)


async def test_a_certificate_wins_over_a_token() -> None:
    peer = PeerIdentity(common_name="carol")
    user = await chain().authenticate(Request("GET", "/", headers={"authorization": "Bearer s3cret"}, peer=peer))
    assert user.name == "carol"


async def test_token_file() -> None:
    user = await chain().authenticate(request(authorization="Bearer s3cret"))
    assert user == User("alice", "u1", ("dev", "ops", "system:authenticated"))


async def test_websocket_protocol_carries_a_token() -> None:
    encoded = base64.urlsafe_b64encode(b"s3cret").rstrip(b"=").decode()
    protocols = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"
    assert (await chain().authenticate(request(sec_websocket_protocol=protocols))).name == "alice"
    with pytest.raises(Unauthorized):
        await chain().authenticate(request(sec_websocket_protocol="base64url.bearer.authorization.k8s.io.???"))


@pytest.mark.parametrize("authorization", ["Bearer wrong", "bearer wrong"])
async def test_a_bad_token_is_refused_not_anonymous(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        await chain().authenticate(request(authorization=authorization))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic Zm9vOmJhcg=="}])
async def test_nothing_is_anonymous(headers: dict[str, str]) -> None:
    assert await chain().authenticate(request(**headers)) == User("system:anonymous", groups=("system:unauthenticated",))
    with pytest.raises(Unauthorized):
        await chain(anonymous=False).authenticate(request(**headers))


def test_token_file_mistakes_name_the_line() -> None:
    with pytest.raises(ValueError, match=r"tokens\.csv:2"):
        TokenFile.parse(["a,b,c", "a,b"], "tokens.csv")
    with pytest.raises(ValueError, match=r"tokens\.csv:1"):
        TokenFile.parse(["a,,c"], "tokens.csv")


def test_static_tokens_are_for_the_api_server_only() -> None:
    assert TOKENS.identify("s3cret", ["vault"]) is None
    found = TOKENS.identify("s3cret", ["vault", "api"])
    assert found is not None
    assert found.audiences == ("api",)


def impersonator(*rules: PolicyRule) -> RbacAuthorizer:
    role = ClusterRole(metadata=ObjectMeta(name="r"), rules=list(rules))
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name="b"), subjects=[Subject(kind="User", name="alice")], roleRef=RoleRef(kind="ClusterRole", name="r")
    )
    return RbacAuthorizer(DictObjectSource(role, binding))


ALICE = User("alice", groups=("system:authenticated",))
USERS = PolicyRule(verbs=["impersonate"], apiGroups=[""], resources=["users", "serviceaccounts"])
GROUPS = PolicyRule(verbs=["impersonate"], apiGroups=[""], resources=["groups"], resourceNames=["dev"])
EXTRAS = PolicyRule(verbs=["impersonate"], apiGroups=["authentication.k8s.io"], resources=["userextras/scopes", "uids"])


def test_no_headers_no_change() -> None:
    assert impersonate(request(), ALICE, impersonator()) is ALICE


def test_impersonation_of_everything() -> None:
    asked = request(
        impersonate_user="bob", impersonate_group="dev", impersonate_uid="7", impersonate_extra_Scopes="read,write", accept="*/*"
    )
    user = impersonate(asked, ALICE, impersonator(USERS, GROUPS, EXTRAS))
    assert user == User("bob", "7", ("dev", "system:authenticated"), {"scopes": ("read", "write")})


def test_impersonated_service_accounts_have_their_groups() -> None:
    user = impersonate(request(impersonate_user="system:serviceaccount:shop:web"), ALICE, impersonator(USERS))
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")


def test_impersonated_anonymous_is_unauthenticated() -> None:
    assert impersonate(request(impersonate_user="system:anonymous"), ALICE, impersonator(USERS)).groups == ("system:unauthenticated",)


@pytest.mark.parametrize(
    ("name", "subject", "where"),
    [
        ("bob", 'users "bob"', "at the cluster scope"),
        ("system:serviceaccount:shop:web", 'serviceaccounts "web"', 'in the namespace "shop"'),
    ],
)
def test_impersonation_needs_the_verb(name: str, subject: str, where: str) -> None:
    with pytest.raises(Forbidden) as caught:
        impersonate(request(impersonate_user=name), ALICE, impersonator())
    resource = subject.split(" ")[0]
    wanted = f'{subject} is forbidden: User "alice" cannot impersonate resource "{resource}" in API group "" {where}'
    assert caught.value.message == wanted


def test_each_group_is_checked() -> None:
    with pytest.raises(Forbidden, match='groups "ops" is forbidden'):
        impersonate(request(impersonate_user="bob", impersonate_group="dev,ops"), ALICE, impersonator(USERS, GROUPS))


def test_groups_without_a_user() -> None:
    with pytest.raises(BadRequest):
        impersonate(request(impersonate_group="dev"), ALICE, impersonator(USERS, GROUPS))
