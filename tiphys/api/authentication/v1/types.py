"""Identity of callers, authentication/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class BoundObjectReference(Struct):
    """The object that a token depends on."""

    kind: str = ""
    """`Pod`, `Secret` or `Node`."""
    apiVersion: str = ""
    """The version of its schema."""
    name: str = ""
    """Its name."""
    uid: str = ""
    """Its UID."""


class UserInfo(Struct):
    """Identity of a user."""

    username: str = ""
    """The name, unique among all users."""
    uid: str = ""
    """An identity that stays when the name is given to somebody else."""
    groups: Annotated[list[str], Atomic()] = []
    """The groups."""
    extra: dict[str, list[str]] = {}
    """More that the authenticator knows."""


class SelfSubjectReviewStatus(Struct):
    """The answer."""

    userInfo: UserInfo = always(UserInfo)
    """Who you are."""


class SelfSubjectReview(KubeObject):
    """Asks who you are, to the server."""

    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("SelfSubjectReview")
    status: SelfSubjectReviewStatus = always(SelfSubjectReviewStatus)
    """The answer."""


class TokenRequestSpec(Struct):
    """The token that is asked for."""

    audiences: Annotated[list[str], Atomic()] = always(list)
    """Whom it is for; the API server if empty."""
    expirationSeconds: int | None = None
    """How long it should be valid, in seconds, at least 600. 3600 by default."""
    boundObjectRef: BoundObjectReference | None = null()
    """The object whose end is also the token's."""


class TokenRequestStatus(Struct):
    """The answer."""

    token: str = always(str)
    """The token."""
    expirationTimestamp: Time | None = null()
    """When it ends."""


class TokenRequest(KubeObject):
    """Asks for a token of a service account."""

    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("TokenRequest")
    spec: TokenRequestSpec = always(TokenRequestSpec)
    """The token that is asked for."""
    status: TokenRequestStatus = always(TokenRequestStatus)
    """The answer."""


class TokenReviewStatus(Struct):
    """The answer."""

    authenticated: bool = False
    """Whether the token is good."""
    user: UserInfo = always(UserInfo)
    """Whose it is."""
    audiences: Annotated[list[str], Atomic()] = []
    """For which of the given audiences it is good."""
    error: str = ""
    """Why it is not good."""


class TokenReviewSpec(Struct):
    """The token in question."""

    token: str = ""
    """The token."""
    audiences: Annotated[list[str], Atomic()] = []
    """Whom it should be for; the API server if empty."""


class TokenReview(KubeObject):
    """Asks whose token this is."""

    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("TokenReview")
    spec: TokenReviewSpec = always(TokenReviewSpec)
    """The token in question."""
    status: TokenReviewStatus = always(TokenReviewStatus)
    """The answer."""
