"""Service-account tokens: signed claims, and their validation ("Managing Service Accounts", KEP-1205).

A signature is checked once and its claims are kept, because every request carries a token. Whether the service account, pod, secret or node
that a token is bound to still exists is checked again every `RECHECK` seconds: reading an object may mean decoding it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.auth.authenticate import Identified, InvalidToken, with_authenticated
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.user import SERVICE_ACCOUNT_PREFIX, User, service_account_user

if TYPE_CHECKING:
    from jwt.types import Options

ALGORITHM: Final = "ES256"
LEEWAY: Final = 60.0
"""Seconds by which the clocks of API servers may differ, and for which a token outlives the object it is bound to."""
RECHECK: Final = 2.0
"""Seconds for which a token keeps working after the object it is bound to is gone."""
MAX_CACHED_TOKENS: Final = 10_000
_EXTRA: Final = "authentication.kubernetes.io/"
_NO_TIME_CHECKS: Final[Options] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*\Z", re.ASCII)


class Reference(msgspec.Struct, omit_defaults=True, frozen=True):
    """An object that a token is bound to."""

    name: str = ""
    uid: str = ""


class KubernetesClaims(msgspec.Struct, omit_defaults=True, frozen=True):
    """The private claims, under `kubernetes.io`."""

    namespace: str = ""
    serviceaccount: Reference = Reference()
    pod: Reference | None = None
    secret: Reference | None = None
    node: Reference | None = None
    warnafter: int | None = None


class Claims(msgspec.Struct, omit_defaults=True, frozen=True):
    """Everything a token says. Times are seconds since 1970."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: float
    iat: float
    nbf: float
    jti: str = ""
    kubernetes: KubernetesClaims = msgspec.field(name="kubernetes.io", default=KubernetesClaims())


class SigningKey:
    """The private key of the issuer, and how others check it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Read an unencrypted P-256 key; raises ValueError."""
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("service-account tokens are signed with an ECDSA P-256 key")
        return cls(key)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key; for tests and throw-away clusters."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, claims: Claims) -> str:
        """The token that says `claims`."""
        import jwt  # Brings half of the standard library's network code: the first token pays for it, not the start.

        return jwt.encode(msgspec.to_builtins(claims), self._key, ALGORITHM, headers={"kid": self.public.id})


class PublicKey:
    """A key that tokens are checked against."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self.key = key
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = _base64url(hashlib.sha256(der).digest())

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a P-256 key; raises ValueError."""
        key = serialization.load_pem_public_key(pem)
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise ValueError("service-account tokens are checked with an ECDSA P-256 key")
        return cls(key)

    def jwk(self) -> dict[str, str]:
        """The key as a JSON Web Key."""
        numbers = self.key.public_numbers()
        x, y = (_base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": ALGORITHM, "x": x, "y": y}


def discovery_document(issuer: str, jwks_uri: str = "") -> dict[str, Any]:
    """`/.well-known/openid-configuration`."""
    return {
        "issuer": issuer,
        "jwks_uri": jwks_uri or f"{issuer.rstrip('/')}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


def key_set(keys: Sequence[PublicKey]) -> dict[str, Any]:
    """`/openid/v1/jwks`."""
    return {"keys": [key.jwk() for key in keys]}


class _Known(msgspec.Struct):
    """A token whose signature was good. `checked`: when its bound objects were last seen, in seconds since 1970."""

    claims: Claims
    user: User
    checked: float = 0.0


class ServiceAccountTokens:
    """Checks the tokens of one issuer. An authenticator of tokens (see `authenticate.TokenAuthenticator`)."""

    def __init__(
        self,
        *,
        issuer: str,
        audiences: Sequence[str],
        keys: Sequence[PublicKey],
        source: ObjectSource,
        clock: Clock,
        extra_issuers: Sequence[str] = (),
    ) -> None:
        self._issuers = frozenset((issuer, *extra_issuers))
        self._audiences = tuple(audiences)
        self._keys = {key.id: key for key in keys}
        self._source = source
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def identify(self, token: str, audiences: Sequence[str]) -> Identified | None:
        """The service account behind the token; None when another issuer made it. Raises InvalidToken."""
        known = self._known.pop(token, None) or self._read(token)
        if known is None:
            return None
        claims = known.claims
        now = self._clock.now()
        seconds = now.timestamp()
        self._check_times(claims, seconds)
        if not known.checked <= seconds < known.checked + RECHECK:
            self._check_bound(claims.kubernetes, now)
            known.checked = seconds
        # Taken out and put back, the token moves to the end: the first one of the dictionary is the one least recently used.
        self._known[token] = known
        if len(self._known) > MAX_CACHED_TOKENS:
            del self._known[next(iter(self._known))]
        accepted = audiences or self._audiences
        common = tuple(audience for audience in claims.aud if audience in accepted)
        if not common:
            raise InvalidToken(f"token audiences {list(claims.aud)} is invalid for the target audiences {list(accepted)}")
        return Identified(known.user, common)

    def _read(self, token: str) -> _Known | None:
        """Check the signature and the form. None when the token is not of this issuer."""
        import jwt

        if not _JWT.match(token):
            return None
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            return None
        if unverified.get("iss") not in self._issuers:
            return None
        key = self._keys.get(header.get("kid", ""))
        if key is None:
            raise InvalidToken("no key of this issuer signed the token")
        # Times and audience are checked against the injected clock on each use, not here.
        try:
            decoded = jwt.decode(token, key.key, [ALGORITHM], options=_NO_TIME_CHECKS)
            audience = decoded.get("aud")
            if isinstance(audience, str):
                decoded["aud"] = [audience]
            claims = msgspec.convert(decoded, Claims, strict=False)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise InvalidToken("the token is malformed or its signature is wrong") from error
        return _Known(claims, _user(claims))

    @staticmethod
    def _check_times(claims: Claims, now: float) -> None:
        if now > claims.exp + LEEWAY:
            raise InvalidToken("service account token has expired")
        if now < claims.nbf - LEEWAY:
            raise InvalidToken("service account token is not valid yet")
        if now < claims.iat - LEEWAY:
            raise InvalidToken("service account token is issued in the future")

    def _check_bound(self, claims: KubernetesClaims, now: datetime) -> None:
        account = claims.serviceaccount
        self._check_object(core.ServiceAccount, claims.namespace, account, now)
        if claims.pod is not None:
            # A pod-bound token names the node for information only.
            self._check_object(core.Pod, claims.namespace, claims.pod, now)
        elif claims.secret is not None:
            self._check_object(core.Secret, claims.namespace, claims.secret, now)
        elif claims.node is not None:
            self._check_object(core.Node, "", claims.node, now)

    def _check_object(self, type_: type[KubeObject], namespace: str, reference: Reference, now: datetime) -> None:
        obj = self._source.get(type_, namespace, reference.name)
        if obj is None:
            raise InvalidToken(f"the {type_.__name__} {reference.name} that the token is bound to does not exist")
        metadata = obj.metadata
        if metadata.uid != reference.uid:
            raise InvalidToken(f"{type_.__name__} UID ({metadata.uid}) does not match claim ({reference.uid})")
        # deletionTimestamp is the moment at which the grace period ends: a pod that shuts down still needs its token.
        if metadata.deletionTimestamp is not None and (now - metadata.deletionTimestamp).total_seconds() > LEEWAY:
            raise InvalidToken(f"the {type_.__name__} {reference.name} that the token is bound to has been deleted")


def _user(claims: Claims) -> User:
    bound = claims.kubernetes
    if claims.sub != f"{SERVICE_ACCOUNT_PREFIX}{bound.namespace}:{bound.serviceaccount.name}":
        raise InvalidToken("the subject of the token is not the service account it names")
    extra: dict[str, tuple[str, ...]] = {}
    if claims.jti:
        extra[_EXTRA + "credential-id"] = (f"JTI={claims.jti}",)
    if bound.node is not None:
        extra[_EXTRA + "node-name"] = (bound.node.name,)
        if bound.node.uid:
            extra[_EXTRA + "node-uid"] = (bound.node.uid,)
    if bound.pod is not None:
        extra[_EXTRA + "pod-name"] = (bound.pod.name,)
        extra[_EXTRA + "pod-uid"] = (bound.pod.uid,)
    frozen: Mapping[str, tuple[str, ...]] = extra
    return with_authenticated(service_account_user(bound.namespace, bound.serviceaccount.name, uid=bound.serviceaccount.uid, extra=frozen))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
