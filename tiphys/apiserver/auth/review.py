"""The review APIs: TokenReview, SelfSubjectReview, and the access and rules reviews (authentication/v1 and authorization/v1).

A review is created, answered and never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from tiphys.api.authentication.v1 import SelfSubjectReview, TokenReview, TokenReviewStatus, UserInfo
from tiphys.api.authorization.v1 import (
    LocalSubjectAccessReview,
    NonResourceAttributes,
    NonResourceRule,
    ResourceAttributes,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from tiphys.api.machinery.errors import BadRequest, FieldError, Invalid, invalid, required
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.authenticate import InvalidToken, TokenAuthenticator
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.rbac import RbacAuthorizer
from tiphys.apiserver.auth.user import User

ReviewT = TypeVar("ReviewT", bound=KubeObject)
_AUTHORIZATION = "authorization.k8s.io"


class Reviewer:
    """Answers every kind of review. `review` fills in the status of the object it is given and returns it."""

    def __init__(self, *, tokens: TokenAuthenticator, audiences: Sequence[str], authorizer: Authorizer, rbac: RbacAuthorizer) -> None:
        self._tokens = tokens
        self._audiences = list(audiences)
        self._authorizer = authorizer
        self._rbac = rbac

    async def review(self, obj: ReviewT, user: User, namespace: str = "") -> ReviewT:
        """Answer; `namespace` is the one in the URL of a LocalSubjectAccessReview. Raises Invalid and BadRequest."""
        if isinstance(obj, TokenReview):
            obj.status = self._token(obj)
        elif isinstance(obj, SelfSubjectReview):
            obj.status.userInfo = user.info()
        elif isinstance(obj, LocalSubjectAccessReview):
            obj.status = self._access(obj, _local_errors(obj, namespace))
        elif isinstance(obj, SubjectAccessReview):
            obj.status = self._access(obj, [*_subject_errors(obj), *_metadata_errors(obj)])
        elif isinstance(obj, SelfSubjectAccessReview):
            _raise(obj, [*_what_errors(obj), *_metadata_errors(obj)])
            obj.status = self._decide(user, obj.spec.resourceAttributes, obj.spec.nonResourceAttributes)
        elif isinstance(obj, SelfSubjectRulesReview):
            obj.status = self._rules(obj, user)
        else:
            raise BadRequest(f"{obj.kind} is not a review")
        return obj

    def _token(self, review: TokenReview) -> TokenReviewStatus:
        if not review.spec.token:
            raise BadRequest("token is required for TokenReview in authentication")
        try:
            identified = self._tokens.identify(review.spec.token, review.spec.audiences)
        except InvalidToken as error:
            return TokenReviewStatus(error=str(error))
        if identified is None:
            return TokenReviewStatus(user=UserInfo())
        # A token that says nothing of audiences is for this API server.
        audiences = list(identified.audiences) or self._audiences
        return TokenReviewStatus(authenticated=True, user=identified.user.info(), audiences=audiences)

    def _access(self, review: SubjectAccessReview | LocalSubjectAccessReview, errors: list[FieldError]) -> SubjectAccessReviewStatus:
        _raise(review, errors)
        spec = review.spec
        extra = {key.lower(): tuple(values) for key, values in spec.extra.items()}
        subject = User(spec.user, spec.uid, tuple(spec.groups), extra)
        return self._decide(subject, spec.resourceAttributes, spec.nonResourceAttributes)

    def _decide(self, user: User, resource: ResourceAttributes | None, path: NonResourceAttributes | None) -> SubjectAccessReviewStatus:
        if resource is not None:
            attributes = Attributes(
                user,
                resource.verb,
                resource.group,
                resource.version,
                resource.resource,
                resource.subresource,
                resource.namespace,
                resource.name,
                field_selector=_field_selector(resource),
            )
        else:
            assert path is not None
            attributes = Attributes(user, path.verb, path=path.path, is_resource=False)
        decision = self._authorizer.authorize(attributes)
        return SubjectAccessReviewStatus(allowed=decision.allowed, denied=decision.denied, reason=decision.reason)

    def _rules(self, review: SelfSubjectRulesReview, user: User) -> SubjectRulesReviewStatus:
        if not review.spec.namespace:
            raise BadRequest("no namespace on request")
        status = SubjectRulesReviewStatus()
        for rule in self._rbac.rules_for(user, review.spec.namespace):
            if rule.resources:
                status.resourceRules.append(
                    ResourceRule(verbs=rule.verbs, apiGroups=rule.apiGroups, resources=rule.resources, resourceNames=rule.resourceNames)
                )
            if rule.nonResourceURLs:
                status.nonResourceRules.append(NonResourceRule(verbs=rule.verbs, nonResourceURLs=rule.nonResourceURLs))
        if user.node:
            status.incomplete = True
            status.evaluationError = "node authorizer does not support user rule resolution"
        return status


def _field_selector(resource: ResourceAttributes) -> str:
    selector = resource.fieldSelector
    if selector is None:
        return ""
    if selector.rawSelector:
        return selector.rawSelector
    return ",".join(f"{r.key}={r.values[0]}" for r in selector.requirements if r.operator == "In" and len(r.values) == 1)


def _metadata_errors(review: KubeObject, *, but: str = "") -> list[FieldError]:
    """A review is never stored, so its metadata says nothing. managedFields and the field `but` are excused."""
    bare = msgspec.structs.replace(review.metadata, managedFields=[])
    if but:
        setattr(bare, but, "")
    except_for = f" except for {but}" if but else ""
    return [] if bare == ObjectMeta() else [invalid("metadata", review.metadata, f"must be empty{except_for}")]


def _selector_errors(resource: ResourceAttributes | None) -> list[FieldError]:
    errors = []
    for name in ("fieldSelector", "labelSelector"):
        selector = None if resource is None else getattr(resource, name)
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{name}"
        if selector.rawSelector and selector.requirements:
            errors.append(invalid(f"{path}.rawSelector", selector.rawSelector, "may not specified at the same time as requirements"))
        if not selector.rawSelector and not selector.requirements:
            why = f"when {path} is specified, requirements or rawSelector is required"
            errors.append(required(f"{path}.requirements", why))
    return errors


def _what_errors(review: SelfSubjectAccessReview | SubjectAccessReview | LocalSubjectAccessReview) -> list[FieldError]:
    spec = review.spec
    if spec.resourceAttributes is not None and spec.nonResourceAttributes is not None:
        return [
            invalid("spec.nonResourceAttributes", spec.nonResourceAttributes, "cannot be specified in combination with resourceAttributes")
        ]
    if spec.resourceAttributes is None and spec.nonResourceAttributes is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid("spec.resourceAttributes", None, why)]
    return _selector_errors(spec.resourceAttributes)


def _subject_errors(review: SubjectAccessReview | LocalSubjectAccessReview) -> list[FieldError]:
    errors = _what_errors(review)
    if not review.spec.user and not review.spec.groups:
        errors.append(invalid("spec.user", review.spec.user, "at least one of user or group must be specified"))
    return errors


def _local_errors(review: LocalSubjectAccessReview, namespace: str) -> list[FieldError]:
    errors = [*_subject_errors(review), *_metadata_errors(review, but="namespace")]
    spec = review.spec
    if review.metadata.namespace and review.metadata.namespace != namespace:
        errors.append(invalid("metadata.namespace", review.metadata.namespace, "must match the namespace of the request"))
    if spec.nonResourceAttributes is not None:
        errors.append(invalid("spec.nonResourceAttributes", spec.nonResourceAttributes, "disallowed on this kind of request"))
    if spec.resourceAttributes is not None and spec.resourceAttributes.namespace != namespace:
        errors.append(invalid("spec.resourceAttributes.namespace", spec.resourceAttributes.namespace, "must match metadata.namespace"))
    return errors


def _raise(review: KubeObject, errors: list[FieldError]) -> None:
    if errors:
        raise Invalid.object(review.kind, review.metadata.name, errors, group=_AUTHORIZATION)
