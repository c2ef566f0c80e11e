"""What a caller may do, authorization/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Struct, always, constant
from tiphys.api.meta.v1.meta import FieldSelectorRequirement, KubeObject, LabelSelectorRequirement


class FieldSelectorAttributes(Struct):
    rawSelector: str = ""
    requirements: Annotated[list[FieldSelectorRequirement], Atomic()] = []


class LabelSelectorAttributes(Struct):
    rawSelector: str = ""
    requirements: Annotated[list[LabelSelectorRequirement], Atomic()] = []


class SubjectAccessReviewStatus(Struct):
    allowed: bool = always(bool)
    denied: bool = False
    reason: str = ""
    evaluationError: str = ""


class ResourceAttributes(Struct):
    namespace: str = ""
    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    fieldSelector: FieldSelectorAttributes | None = None
    labelSelector: LabelSelectorAttributes | None = None


class NonResourceAttributes(Struct):
    path: str = ""
    verb: str = ""


class SubjectAccessReviewSpec(Struct):
    resourceAttributes: ResourceAttributes | None = None
    nonResourceAttributes: NonResourceAttributes | None = None
    user: str = ""
    groups: Annotated[list[str], Atomic()] = []
    extra: dict[str, list[str]] = {}
    uid: str = ""


class LocalSubjectAccessReview(KubeObject):
    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("LocalSubjectAccessReview")
    spec: SubjectAccessReviewSpec = always(SubjectAccessReviewSpec)
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)


class NonResourceRule(Struct):
    verbs: Annotated[list[str], Atomic()] = always(list)
    nonResourceURLs: Annotated[list[str], Atomic()] = []


class ResourceRule(Struct):
    verbs: Annotated[list[str], Atomic()] = always(list)
    apiGroups: Annotated[list[str], Atomic()] = []
    resources: Annotated[list[str], Atomic()] = []
    resourceNames: Annotated[list[str], Atomic()] = []


class SelfSubjectAccessReviewSpec(Struct):
    resourceAttributes: ResourceAttributes | None = None
    nonResourceAttributes: NonResourceAttributes | None = None


class SelfSubjectAccessReview(KubeObject):
    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SelfSubjectAccessReview")
    spec: SelfSubjectAccessReviewSpec = always(SelfSubjectAccessReviewSpec)
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)


class SelfSubjectRulesReviewSpec(Struct):
    namespace: str = ""


class SubjectRulesReviewStatus(Struct):
    resourceRules: Annotated[list[ResourceRule], Atomic()] = always(list)
    nonResourceRules: Annotated[list[NonResourceRule], Atomic()] = always(list)
    incomplete: bool = always(bool)
    evaluationError: str = ""


class SelfSubjectRulesReview(KubeObject):
    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SelfSubjectRulesReview")
    spec: SelfSubjectRulesReviewSpec = always(SelfSubjectRulesReviewSpec)
    status: SubjectRulesReviewStatus = always(SubjectRulesReviewStatus)


class SubjectAccessReview(KubeObject):
    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SubjectAccessReview")
    spec: SubjectAccessReviewSpec = always(SubjectAccessReviewSpec)
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)
