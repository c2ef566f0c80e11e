"""Who a caller is, authentication/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class BoundObjectReference(Struct):
    kind: str = ""
    apiVersion: str = ""
    name: str = ""
    uid: str = ""


class UserInfo(Struct):
    username: str = ""
    uid: str = ""
    groups: Annotated[list[str], Atomic()] = []
    extra: dict[str, list[str]] = {}


class SelfSubjectReviewStatus(Struct):
    userInfo: UserInfo = always(UserInfo)


class SelfSubjectReview(KubeObject):
    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("SelfSubjectReview")
    status: SelfSubjectReviewStatus = always(SelfSubjectReviewStatus)


class TokenRequestSpec(Struct):
    audiences: Annotated[list[str], Atomic()] = always(list)
    expirationSeconds: int | None = None
    boundObjectRef: BoundObjectReference | None = None


class TokenRequestStatus(Struct):
    token: str = always(str)
    expirationTimestamp: Time | None = None


class TokenRequest(KubeObject):
    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("TokenRequest")
    spec: TokenRequestSpec = always(TokenRequestSpec)
    status: TokenRequestStatus = always(TokenRequestStatus)


class TokenReviewStatus(Struct):
    authenticated: bool = False
    user: UserInfo = always(UserInfo)
    audiences: Annotated[list[str], Atomic()] = []
    error: str = ""


class TokenReviewSpec(Struct):
    token: str = ""
    audiences: Annotated[list[str], Atomic()] = []


class TokenReview(KubeObject):
    apiVersion: str = constant("authentication.k8s.io/v1")
    kind: str = constant("TokenReview")
    spec: TokenReviewSpec = always(TokenReviewSpec)
    status: TokenReviewStatus = always(TokenReviewStatus)
