"""Service-account tokens: issuing, checking, what takes them away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest

from tiphys.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import BadRequest, Conflict, Invalid, NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.apiserver.auth import tokens as tokens_module
from tiphys.apiserver.auth.authenticate import InvalidToken
from tiphys.apiserver.auth.token_request import TokenIssuer
from tiphys.apiserver.auth.tokens import ServiceAccountTokens, SigningKey, discovery_document, key_set
from tiphys.apiserver.auth.user import User
from tiphys.testing.object_source import DictObjectSource

NOW = datetime(2026, 5, 1, 12, 0, 0, 250000, tzinfo=UTC)
ISSUER = "https://kubernetes.default.svc.cluster.local"
KEY = SigningKey.generate()


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, now: datetime = NOW) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Cluster:
    def __init__(self, *, max_seconds: int = 0) -> None:
        self.account = core.ServiceAccount(metadata=ObjectMeta(name="web", namespace="shop", uid="sa-1"))
        self.pod = core.Pod(
            metadata=ObjectMeta(name="web-0", namespace="shop", uid="pod-1"),
            spec=core.PodSpec(serviceAccountName="web", nodeName="n1"),
        )
        self.node = core.Node(metadata=ObjectMeta(name="n1", uid="node-1"))
        self.secret = core.Secret(metadata=ObjectMeta(name="s", namespace="shop", uid="secret-1"))
        self.source = DictObjectSource(self.account, self.pod, self.node, self.secret)
        self.clock = SetClock()
        self.issuer = TokenIssuer(
            issuer=ISSUER, audiences=[ISSUER], key=KEY, source=self.source, max_seconds=max_seconds, new_id=lambda: "id-1"
        )
        self.checker = ServiceAccountTokens(issuer=ISSUER, audiences=[ISSUER], keys=[KEY.public], source=self.source, clock=self.clock)

    def token(self, ref: BoundObjectReference | None = None, **spec: object) -> str:
        request = TokenRequest(spec=msgspec.convert({**spec}, TokenRequestSpec))
        request.spec.boundObjectRef = ref
        self.issuer.request(request, "shop", "web", self.clock.now())
        return request.status.token

    def user(self, token: str, *audiences: str) -> User | None:
        found = self.checker.identify(token, audiences)
        return None if found is None else found.user

    def later(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)


POD = BoundObjectReference(kind="Pod", apiVersion="v1", name="web-0", uid="pod-1")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_claims_are_those_of_kubernetes(cluster: Cluster) -> None:
    token = cluster.token(POD)
    start = int(NOW.timestamp())
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY.public.id, "typ": "JWT"}
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "iss": ISSUER,
        "sub": "system:serviceaccount:shop:web",
        "aud": [ISSUER],
        "exp": start + 3600,
        "iat": start,
        "nbf": start,
        "jti": "id-1",
        "kubernetes.io": {
            "namespace": "shop",
            "serviceaccount": {"name": "web", "uid": "sa-1"},
            "pod": {"name": "web-0", "uid": "pod-1"},
            "node": {"name": "n1", "uid": "node-1"},
        },
    }


def test_user_of_a_pod_token(cluster: Cluster) -> None:
    assert cluster.user(cluster.token(POD)) == User(
        "system:serviceaccount:shop:web",
        "sa-1",
        ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"),
        {
            "authentication.kubernetes.io/credential-id": ("JTI=id-1",),
            "authentication.kubernetes.io/node-name": ("n1",),
            "authentication.kubernetes.io/node-uid": ("node-1",),
            "authentication.kubernetes.io/pod-name": ("web-0",),
            "authentication.kubernetes.io/pod-uid": ("pod-1",),
        },
    )


def test_the_status_says_when_to_renew(cluster: Cluster) -> None:
    request = TokenRequest(spec=TokenRequestSpec(expirationSeconds=900))
    cluster.issuer.request(request, "shop", "web", NOW)
    assert request.status.expirationTimestamp == NOW.replace(microsecond=0) + timedelta(seconds=900)
    assert (request.metadata.name, request.metadata.namespace, request.metadata.uid) == ("web", "shop", "sa-1")


def test_pod_volume_tokens_outlive_their_renewal_time(cluster: Cluster) -> None:
    claims = jwt.decode(cluster.token(POD, expirationSeconds=3607), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 365 * 24 * 3600
    assert claims["kubernetes.io"]["warnafter"] == claims["iat"] + 3607
    other = jwt.decode(cluster.token(POD, expirationSeconds=3607, audiences=["vault"]), options={"verify_signature": False})
    assert other["exp"] - other["iat"] == 3607


def test_times(cluster: Cluster) -> None:
    token = cluster.token(expirationSeconds=600)
    cluster.later(650)
    assert cluster.user(token) is not None
    cluster.later(20)
    with pytest.raises(InvalidToken, match="expired"):
        cluster.user(token)
    cluster.clock.time = NOW - timedelta(seconds=120)
    with pytest.raises(InvalidToken, match="not valid yet"):
        cluster.user(token)


def test_audiences(cluster: Cluster) -> None:
    token = cluster.token(audiences=["vault", "ci"])
    with pytest.raises(InvalidToken, match="audiences"):
        cluster.user(token)
    found = cluster.checker.identify(token, ["ci", "x"])
    assert found is not None
    assert found.audiences == ("ci",)


@pytest.mark.parametrize("gone", ["account", "pod"])
def test_deleting_the_bound_object_takes_the_token_away(cluster: Cluster, gone: str) -> None:
    token = cluster.token(POD)
    assert cluster.user(token) is not None
    cluster.source.remove(getattr(cluster, gone))
    cluster.later(tokens_module.RECHECK)
    with pytest.raises(InvalidToken, match="does not exist"):
        cluster.user(token)


def test_a_recreated_object_is_another_one(cluster: Cluster) -> None:
    token = cluster.token(POD)
    again = msgspec.convert(msgspec.to_builtins(cluster.pod), core.Pod)
    again.metadata.uid = "pod-2"
    cluster.source.put(again)
    with pytest.raises(InvalidToken, match="UID"):
        cluster.user(token)


def test_a_pod_that_shuts_down_keeps_its_token_until_it_should_be_gone(cluster: Cluster) -> None:
    token = cluster.token(POD)
    ending = msgspec.convert(msgspec.to_builtins(cluster.pod), core.Pod)
    ending.metadata.deletionTimestamp = NOW + timedelta(seconds=30)
    cluster.source.put(ending)
    cluster.later(60)
    assert cluster.user(token) is not None
    cluster.later(60)
    with pytest.raises(InvalidToken, match="deleted"):
        cluster.user(token)


def test_secret_and_node_bindings(cluster: Cluster) -> None:
    secret = cluster.token(BoundObjectReference(kind="Secret", apiVersion="v1", name="s"))
    node = cluster.token(BoundObjectReference(kind="Node", apiVersion="v1", name="n1"))
    assert cluster.user(secret) is not None
    user = cluster.user(node)
    assert user is not None
    assert user.extra["authentication.kubernetes.io/node-name"] == ("n1",)
    cluster.source.remove(cluster.secret)
    cluster.source.remove(cluster.node)
    cluster.later(tokens_module.RECHECK)
    for token in (secret, node):
        with pytest.raises(InvalidToken):
            cluster.user(token)


def test_forgeries(cluster: Cluster) -> None:
    good = jwt.decode(cluster.token(), options={"verify_signature": False})
    header = {"kid": KEY.public.id}
    other_key = ServiceAccountTokens(
        issuer=ISSUER, audiences=[ISSUER], keys=[SigningKey.generate().public], source=cluster.source, clock=cluster.clock
    )
    with pytest.raises(InvalidToken):
        other_key.identify(cluster.token(), ())
    with pytest.raises(InvalidToken):
        cluster.user(jwt.encode(good, "", "none", headers=header))
    with pytest.raises(InvalidToken):
        cluster.user(jwt.encode(good, "a guess of the secret, thirty-two bytes", "HS256", headers=header))
    head, _, signature = cluster.token().split(".")
    body = jwt.encode({**good, "sub": "system:serviceaccount:kube-system:root"}, "x" * 32, "HS256").split(".")[1]
    with pytest.raises(InvalidToken):
        cluster.user(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.b", "ey.ey.ey", "\x00.\x00.\x00"])
def test_malformed_tokens_are_left_to_other_authenticators(cluster: Cluster, token: str) -> None:
    assert cluster.user(token) is None


def test_other_issuers_are_left_alone(cluster: Cluster) -> None:
    assert cluster.user(jwt.encode({"iss": "https://accounts.example.com"}, "x" * 32, "HS256")) is None


def test_the_cache_is_bounded(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_CACHED_TOKENS", 3)
    made = [cluster.token() for _ in range(8)]
    for token in made:
        assert cluster.user(token) is not None
    assert cluster.user(made[0]) is not None
    assert len(cluster.checker._known) == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"expirationSeconds": 599}, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 0}, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, "may not specify a duration larger than 2^32 seconds"),
    ],
)
def test_lifetimes_out_of_bounds(cluster: Cluster, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        cluster.token(**spec)
    assert caught.value.message.startswith('TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: ')
    assert message in caught.value.message


def test_a_shorter_maximum_warns() -> None:
    cluster = Cluster(max_seconds=1200)
    request = TokenRequest(spec=TokenRequestSpec(expirationSeconds=5000))
    assert cluster.issuer.request(request, "shop", "web", NOW) == ["requested expiration of 5000 seconds shortened to 1200 seconds"]


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        (BoundObjectReference(kind="Pod", apiVersion="v1", name="gone"), NotFound),
        (BoundObjectReference(kind="Pod", apiVersion="v1", name="web-0", uid="other"), Conflict),
        (BoundObjectReference(kind="ConfigMap", apiVersion="v1", name="x"), BadRequest),
    ],
)
def test_rejects_bad_bindings(cluster: Cluster, ref: BoundObjectReference, error: type[Exception]) -> None:
    with pytest.raises(error):
        cluster.token(ref)


def test_another_accounts_pod(cluster: Cluster) -> None:
    cluster.source.put(core.ServiceAccount(metadata=ObjectMeta(name="db", namespace="shop", uid="sa-2")))
    with pytest.raises(BadRequest, match='cannot bind token for serviceaccount "db"'):
        cluster.issuer.request(TokenRequest(spec=TokenRequestSpec(boundObjectRef=POD)), "shop", "db", NOW)


def test_requests_must_fit_the_url(cluster: Cluster) -> None:
    with pytest.raises(Invalid, match="must match the service account name"):
        cluster.issuer.request(TokenRequest(metadata=ObjectMeta(name="db")), "shop", "web", NOW)
    with pytest.raises(NotFound, match='serviceaccounts "nobody" not found'):
        cluster.issuer.request(TokenRequest(), "shop", "nobody", NOW)
    with pytest.raises(Conflict):
        cluster.issuer.request(TokenRequest(metadata=ObjectMeta(uid="old")), "shop", "web", NOW)


def test_others_can_check_a_token_with_the_published_keys(cluster: Cluster) -> None:
    document = discovery_document(ISSUER)
    assert document["jwks_uri"] == f"{ISSUER}/openid/v1/jwks"
    keys = jwt.PyJWKSet.from_dict(key_set([KEY.public]))
    token = cluster.token()
    key = keys[jwt.get_unverified_header(token)["kid"]]
    decoded = jwt.decode(token, key.key, document["id_token_signing_alg_values_supported"], options={"verify_exp": False,
        "verify_aud": False, "verify_nbf": False, "verify_iat": False})  # fmt: skip
    assert decoded["iss"] == document["issuer"]
