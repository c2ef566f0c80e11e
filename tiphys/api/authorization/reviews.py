"""Reviews of access: `authorization.k8s.io`. They are answered, never stored."""

from __future__ import annotations

from typing import Any

from tiphys.api.authorization import v1 as authorization
from tiphys.api.machinery.scheme import Kind, question

GROUP = "authorization.k8s.io"

LOCAL_SUBJECT_ACCESS_REVIEWS = question(authorization.LocalSubjectAccessReview, "localsubjectaccessreviews", GROUP, namespaced=True)
SELF_SUBJECT_ACCESS_REVIEWS = question(authorization.SelfSubjectAccessReview, "selfsubjectaccessreviews", GROUP)
SELF_SUBJECT_RULES_REVIEWS = question(authorization.SelfSubjectRulesReview, "selfsubjectrulesreviews", GROUP)
SUBJECT_ACCESS_REVIEWS = question(authorization.SubjectAccessReview, "subjectaccessreviews", GROUP)

KINDS: tuple[Kind[Any], ...] = (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
