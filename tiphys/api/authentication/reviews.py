"""Questions about who somebody is: `authentication.k8s.io`. They are answered, never stored."""

from __future__ import annotations

from typing import Any

from tiphys.api.authentication import v1 as authentication
from tiphys.api.machinery.scheme import Kind

GROUP = "authentication.k8s.io"

SELF_SUBJECT_REVIEWS: Kind[authentication.SelfSubjectReview] = Kind(
    type=authentication.SelfSubjectReview, plural="selfsubjectreviews", group=GROUP, namespaced=False, verbs=("create",), question=True
)

TOKEN_REVIEWS: Kind[authentication.TokenReview] = Kind(
    type=authentication.TokenReview, plural="tokenreviews", group=GROUP, namespaced=False, verbs=("create",), question=True
)

KINDS: tuple[Kind[Any], ...] = (SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS)
