"""Reviews of access: `authorization.k8s.io`. They are answered, never stored."""

from __future__ import annotations

from typing import Any

from tiphys.api.authorization import v1 as authorization
from tiphys.api.machinery.scheme import Kind

GROUP = "authorization.k8s.io"
_CREATE = ("create",)

LOCAL_SUBJECT_ACCESS_REVIEWS: Kind[authorization.LocalSubjectAccessReview] = Kind(
    type=authorization.LocalSubjectAccessReview,
    plural="localsubjectaccessreviews",
    group=GROUP,
    verbs=_CREATE,
    question=True,
)

SELF_SUBJECT_ACCESS_REVIEWS: Kind[authorization.SelfSubjectAccessReview] = Kind(
    type=authorization.SelfSubjectAccessReview,
    plural="selfsubjectaccessreviews",
    group=GROUP,
    namespaced=False,
    verbs=_CREATE,
    question=True,
)

SELF_SUBJECT_RULES_REVIEWS: Kind[authorization.SelfSubjectRulesReview] = Kind(
    type=authorization.SelfSubjectRulesReview,
    plural="selfsubjectrulesreviews",
    group=GROUP,
    namespaced=False,
    verbs=_CREATE,
    question=True,
)

SUBJECT_ACCESS_REVIEWS: Kind[authorization.SubjectAccessReview] = Kind(
    type=authorization.SubjectAccessReview,
    plural="subjectaccessreviews",
    group=GROUP,
    namespaced=False,
    verbs=_CREATE,
    question=True,
)

KINDS: tuple[Kind[Any], ...] = (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
