"""Questions about who somebody is: `authentication.k8s.io`. They are answered, never stored."""

from __future__ import annotations

from typing import Any

from tiphys.api.authentication import v1 as authentication
from tiphys.api.machinery.scheme import Kind, question

GROUP = "authentication.k8s.io"

SELF_SUBJECT_REVIEWS = question(authentication.SelfSubjectReview, "selfsubjectreviews", GROUP)
TOKEN_REVIEWS = question(authentication.TokenReview, "tokenreviews", GROUP)

KINDS: tuple[Kind[Any], ...] = (SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS)
