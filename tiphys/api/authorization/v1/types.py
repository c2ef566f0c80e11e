"""Rights of callers, authorization/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, always, constant
from tiphys.api.meta.v1.meta import FieldSelectorRequirement, KubeObject, LabelSelectorRequirement


class FieldSelectorAttributes(Struct):
    """The field selector of the request in question."""

    rawSelector: str = ""
    """Selector as text."""
    requirements: Annotated[list[FieldSelectorRequirement], Atomic()] = []
    """Selector as requirements."""


class LabelSelectorAttributes(Struct):
    """The label selector of the request in question."""

    rawSelector: str = ""
    """Selector as text."""
    requirements: Annotated[list[LabelSelectorRequirement], Atomic()] = []
    """Selector as requirements."""


class SubjectAccessReviewStatus(Struct):
    """The answer."""

    allowed: bool = always(bool)
    """True if it may be done."""
    denied: bool = False
    """True if it is forbidden, not just not allowed."""
    reason: str = ""
    """Reason for the decision."""
    evaluationError: str = ""
    """Error during the evaluation."""


class ResourceAttributes(Struct):
    """A request for a resource."""

    namespace: str = ""
    """The namespace; all, or none for cluster-wide resources, if empty."""
    verb: str = ""
    """The verb, such as `get`, or `*`."""
    group: str = ""
    """The API group; `*` means all."""
    version: str = ""
    """The version; `*` means all."""
    resource: str = ""
    """The resource; `*` means all."""
    subresource: str = ""
    """The subresource."""
    name: str = ""
    """The object; all if empty."""
    fieldSelector: FieldSelectorAttributes | None = None
    """The field selector."""
    labelSelector: LabelSelectorAttributes | None = None
    """The label selector."""


class NonResourceAttributes(Struct):
    """A request for another path."""

    path: str = ""
    """The path."""
    verb: str = ""
    """The HTTP method in lower case."""


class SubjectAccessReviewSpec(Struct):
    """User and request to review; either resourceAttributes or nonResourceAttributes is set."""

    resourceAttributes: ResourceAttributes | None = None
    """A request for a resource."""
    nonResourceAttributes: NonResourceAttributes | None = None
    """A request for another path."""
    user: str = ""
    """The user."""
    groups: Annotated[list[str], Atomic()] = []
    """The user's groups."""
    extra: dict[str, list[str]] = {}
    """More that the authenticator knows."""
    uid: str = ""
    """The user's identity."""


class LocalSubjectAccessReview(KubeObject):
    """Asks whether somebody may do something in one namespace."""

    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("LocalSubjectAccessReview")
    spec: SubjectAccessReviewSpec = always(SubjectAccessReviewSpec)
    """User and request to review."""
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)
    """The answer."""


class NonResourceRule(Struct):
    """Paths that may be used."""

    verbs: Annotated[list[str], Atomic()] = always(list)
    """HTTP methods in lower case, or `*`."""
    nonResourceURLs: Annotated[list[str], Atomic()] = []
    """The paths; `*` as the last step matches all below."""


class ResourceRule(Struct):
    """Resources that may be used."""

    verbs: Annotated[list[str], Atomic()] = always(list)
    """Verbs, or `*`."""
    apiGroups: Annotated[list[str], Atomic()] = []
    """API groups, or `*`."""
    resources: Annotated[list[str], Atomic()] = []
    """Resources, or `*`."""
    resourceNames: Annotated[list[str], Atomic()] = []
    """Names of the objects; all if empty."""


class SelfSubjectAccessReviewSpec(Struct):
    """Request to review for the caller; either resourceAttributes or nonResourceAttributes is set."""

    resourceAttributes: ResourceAttributes | None = None
    """A request for a resource."""
    nonResourceAttributes: NonResourceAttributes | None = None
    """A request for another path."""


class SelfSubjectAccessReview(KubeObject):
    """Asks whether you may do something."""

    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SelfSubjectAccessReview")
    spec: SelfSubjectAccessReviewSpec = always(SelfSubjectAccessReviewSpec)
    """Request to review."""
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)
    """The answer."""


class SelfSubjectRulesReviewSpec(Struct):
    """Namespace to review."""

    namespace: str = ""
    """The namespace."""


class SubjectRulesReviewStatus(Struct):
    """The answer."""

    resourceRules: Annotated[list[ResourceRule], Atomic()] = always(list)
    """Resources that may be used; the order means nothing."""
    nonResourceRules: Annotated[list[NonResourceRule], Atomic()] = always(list)
    """Paths that may be used; the order means nothing."""
    incomplete: bool = always(bool)
    """True if there may be more than is listed."""
    evaluationError: str = ""
    """Error during the evaluation."""


class SelfSubjectRulesReview(KubeObject):
    """Asks for all that you may do in a namespace."""

    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SelfSubjectRulesReview")
    spec: SelfSubjectRulesReviewSpec = always(SelfSubjectRulesReviewSpec)
    """Namespace to review."""
    status: SubjectRulesReviewStatus = always(SubjectRulesReviewStatus)
    """The answer."""


class SubjectAccessReview(KubeObject):
    """Asks whether somebody may do something."""

    apiVersion: str = constant("authorization.k8s.io/v1")
    kind: str = constant("SubjectAccessReview")
    spec: SubjectAccessReviewSpec = always(SubjectAccessReviewSpec)
    """User and request to review."""
    status: SubjectAccessReviewStatus = always(SubjectAccessReviewStatus)
    """The answer."""
