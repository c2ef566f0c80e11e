"""Admission webhooks and policies, admissionregistration/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.machinery.base import Atomic, MapList, Patch, SetList, Struct, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector


class ApplyConfiguration(Struct):
    """A mutation written as the object that is to be applied, as server-side apply would."""

    expression: str = ""
    """A CEL expression that gives the configuration to apply, made with the constructor `Object{...}`."""


class AuditAnnotation(Struct):
    """A note that a policy adds to the audit event of a request."""

    key: str = always(str)
    """The last part of the annotation's key; the policy's name comes before it."""
    valueExpression: str = always(str)
    """A CEL expression that gives the note as text, or null for none."""


class ExpressionWarning(Struct):
    """Problem that the type checker found in an expression."""

    fieldRef: str = always(str)
    """The path of the expression in the policy, such as `spec.validations[0].expression`."""
    warning: str = always(str)
    """Problems of the expression, for each type that it was checked against."""


class JSONPatch(Struct):
    """A mutation written as a JSON patch."""

    expression: str = ""
    """A CEL expression that gives a list of `JSONPatch{...}` operations."""


class MatchCondition(Struct):
    """A CEL condition that must hold for a webhook or policy to be asked."""

    name: str = always(str)
    """The name of the condition, unique in its list; a qualified name."""
    expression: str = always(str)
    """A CEL expression that gives true or false; it sees `object`, `oldObject`, `request` and `authorizer`."""


class NamedRuleWithOperations(Struct):
    """Operations on resources, narrowed to names."""

    __map_type__: ClassVar[str] = "atomic"
    resourceNames: Annotated[list[str], Atomic()] = []
    """Names of objects that match; empty for all."""
    apiGroups: Annotated[list[str], Atomic()] = []
    """API groups, `*` for all."""
    apiVersions: Annotated[list[str], Atomic()] = []
    """API versions, `*` for all."""
    operations: Annotated[list[str], Atomic()] = []
    """`CREATE`, `UPDATE`, `DELETE`, `CONNECT`, or `*` for all of them."""
    resources: Annotated[list[str], Atomic()] = []
    """Resources such as `pods`, `pods/log`, `pods/*`, `*` or `*/*`."""
    scope: str | None = None
    """`Cluster`, `Namespaced`, or `*` for both."""


class MatchResources(Struct):
    """Selection of the requests that a policy applies to."""

    __map_type__: ClassVar[str] = "atomic"
    namespaceSelector: LabelSelector | None = None
    """Labels that the namespace of the object must have; objects without a namespace always match."""
    objectSelector: LabelSelector | None = None
    """Labels that the new or the old object must have."""
    resourceRules: Annotated[list[NamedRuleWithOperations], Atomic()] = []
    """Operations on resources that match; one of them must."""
    excludeResourceRules: Annotated[list[NamedRuleWithOperations], Atomic()] = []
    """Operations on resources that do not match, whatever the rules above say."""
    matchPolicy: str | None = None
    """`Exact` takes the rules by the letter, `Equivalent` also matches the same resource in another group or version."""


class Mutation(Struct):
    """One change that a policy makes."""

    patchType: str = always(str)
    """`ApplyConfiguration` or `JSONPatch`."""
    applyConfiguration: ApplyConfiguration | None = None
    """The configuration, with the first type."""
    jsonPatch: JSONPatch | None = None
    """The patch, with the second type."""


class Variable(Struct):
    """A named expression."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = always(str)
    """The name, under `variables`."""
    expression: str = always(str)
    """The CEL expression; it is evaluated when first used."""


class ParamKind(Struct):
    """A kind of objects that hold parameters."""

    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = ""
    """Its group and version."""
    kind: str = ""
    """The kind."""


class MutatingAdmissionPolicySpec(Struct):
    """Desired behavior of a mutating policy: its matches, variables and mutations."""

    paramKind: ParamKind | None = None
    """The kind of objects that parameters come from; without it there are none."""
    matchConstraints: MatchResources | None = None
    """The requests that the policy is about."""
    variables: Annotated[list[Variable], Atomic()] = []
    """Named expressions that other expressions use as `variables.<name>`, each seeing those before it."""
    mutations: Annotated[list[Mutation], Atomic()] = []
    """The changes, made in this order."""
    failurePolicy: str | None = None
    """`Fail` refuses the request when an expression cannot be evaluated, `Ignore` lets it pass."""
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    """Further conditions, all of which must hold."""
    reinvocationPolicy: str = ""
    """`Never`, or `IfNeeded` to run again when a later plugin changed the object."""


class MutatingAdmissionPolicy(KubeObject):
    """Changes objects on their way in, by CEL expressions and without a webhook."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingAdmissionPolicy")
    spec: MutatingAdmissionPolicySpec = always(MutatingAdmissionPolicySpec)
    """Desired state of the mutating admission policy."""


class ParamRef(Struct):
    """Reference to the objects that hold the parameters of a binding."""

    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    """The name of one object; not together with `selector`."""
    namespace: str = ""
    """Its namespace; empty for that of the request, when the kind has namespaces."""
    selector: LabelSelector | None = None
    """Labels of the objects; the policy is evaluated with each."""
    parameterNotFoundAction: str | None = None
    """`Allow` or `Deny`, when there is no such object."""


class MutatingAdmissionPolicyBindingSpec(Struct):
    """Policy to bind, its parameters and the requests it applies to."""

    policyName: str = ""
    """The MutatingAdmissionPolicy that is bound."""
    paramRef: ParamRef | None = None
    """The objects that the policy takes its parameters from."""
    matchResources: MatchResources | None = None
    """A further selection: a request must match this and the policy."""


class MutatingAdmissionPolicyBinding(KubeObject):
    """Puts a mutating policy to work, with parameters and a selection of its own."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingAdmissionPolicyBinding")
    spec: MutatingAdmissionPolicyBindingSpec = always(MutatingAdmissionPolicyBindingSpec)
    """Desired state of the mutating admission policy binding."""


class RuleWithOperations(Struct):
    """Operations on resources."""

    operations: Annotated[list[str], Atomic()] = []
    """`CREATE`, `UPDATE`, `DELETE`, `CONNECT`, or `*` for all of them."""
    apiGroups: Annotated[list[str], Atomic()] = []
    """API groups, `*` for all."""
    apiVersions: Annotated[list[str], Atomic()] = []
    """API versions, `*` for all."""
    resources: Annotated[list[str], Atomic()] = []
    """Resources such as `pods`, `pods/log`, `pods/*`, `*` or `*/*`."""
    scope: str | None = None
    """`Cluster`, `Namespaced`, or `*` for both."""


class ServiceReference(Struct):
    """A Service behind which a webhook listens."""

    namespace: str = always(str)
    """The namespace of the Service."""
    name: str = always(str)
    """Its name."""
    path: str | None = None
    """The path of the URL, `/` if absent."""
    port: int | None = None
    """The port of the Service, 443 if absent."""


class WebhookClientConfig(Struct):
    """Address of a webhook: a URL or a Service, not both."""

    url: str | None = None
    """An https URL without user, query and fragment."""
    service: ServiceReference | None = None
    """The Service behind which it listens."""
    caBundle: bytes = b""
    """PEM certificates that its certificate is checked against; the system's by default."""


class MutatingWebhook(Struct):
    """A web service that may change objects on their way in."""

    name: str = always(str)
    """Its full name, such as `imagepolicy.example.com`."""
    clientConfig: WebhookClientConfig = always(WebhookClientConfig)
    """Address of the webhook."""
    rules: Annotated[list[RuleWithOperations], Atomic()] = []
    """The operations on resources for which it is asked."""
    failurePolicy: str | None = None
    """`Fail` refuses the request when the webhook cannot be asked, `Ignore` goes on without it."""
    matchPolicy: str | None = None
    """`Exact` takes the rules by the letter, `Equivalent` also matches the same resource in another group or version."""
    namespaceSelector: LabelSelector | None = None
    """Labels that the namespace of the object must have."""
    objectSelector: LabelSelector | None = None
    """Labels that the new or the old object must have."""
    sideEffects: str | None = None
    """Side effects of a call: `None`, or `NoneOnDryRun` when nothing is changed in a dry run."""
    timeoutSeconds: int | None = None
    """Timeout of a call in seconds, 1 to 30."""
    admissionReviewVersions: Annotated[list[str], Atomic()] = always(list)
    """Versions of AdmissionReview that it understands, the preferred one first."""
    reinvocationPolicy: str | None = None
    """`Never`, or `IfNeeded` to ask again when a later plugin changed the object."""
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    """Further conditions, all of which must hold for the webhook to be asked."""


class MutatingWebhookConfiguration(KubeObject):
    """Webhooks that may change objects."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingWebhookConfiguration")
    webhooks: Annotated[list[MutatingWebhook], MapList("name"), Patch("merge", "name")] = []
    """The webhooks, asked one after the other."""


class TypeChecking(Struct):
    """Result of checking the expressions of a policy against the types of its kinds."""

    expressionWarnings: Annotated[list[ExpressionWarning], Atomic()] = []
    """One entry for each expression that looks wrong."""


class ValidatingAdmissionPolicyStatus(Struct):
    """Observed state of a validating policy."""

    observedGeneration: int = 0
    """The generation of the spec that this was computed from."""
    typeChecking: TypeChecking | None = None
    """Complaints of the type checker."""
    conditions: Annotated[list[Condition], MapList("type")] = []
    """Aspects of how it stands, one of each type."""


class Validation(Struct):
    """One demand of a policy."""

    expression: str = always(str)
    """A CEL expression that is true when all is well; it sees `object`, `oldObject`, `request`, `params` and more."""
    message: str = ""
    """Message for the client when the expression is false."""
    reason: str | None = None
    """The reason in the Status of the refusal; `Invalid` by default."""
    messageExpression: str = ""
    """A CEL expression that gives the message instead."""


class ValidatingAdmissionPolicySpec(Struct):
    """Desired behavior of a validating policy: its matches, validations and audit annotations."""

    paramKind: ParamKind | None = None
    """The kind of objects that parameters come from; without it there are none."""
    matchConstraints: MatchResources | None = None
    """The requests that the policy is about."""
    validations: Annotated[list[Validation], Atomic()] = []
    """Expressions that must hold for the request."""
    failurePolicy: str | None = None
    """`Fail` refuses the request when an expression cannot be evaluated, `Ignore` lets it pass."""
    auditAnnotations: Annotated[list[AuditAnnotation], Atomic()] = []
    """Notes for the audit event of a request."""
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    """Further conditions, all of which must hold."""
    variables: Annotated[list[Variable], MapList("name"), Patch("merge", "name")] = []
    """Named expressions that other expressions use as `variables.<name>`, each seeing those before it."""


class ValidatingAdmissionPolicy(KubeObject):
    """Refuses objects by CEL expressions, without a webhook."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingAdmissionPolicy")
    spec: ValidatingAdmissionPolicySpec = always(ValidatingAdmissionPolicySpec)
    """Desired state of the validating admission policy."""
    status: ValidatingAdmissionPolicyStatus = always(ValidatingAdmissionPolicyStatus)
    """Observed state of the validating admission policy."""


class ValidatingAdmissionPolicyBindingSpec(Struct):
    """Policy to bind, its parameters, actions and the requests it applies to."""

    policyName: str = ""
    """The ValidatingAdmissionPolicy that is bound."""
    paramRef: ParamRef | None = None
    """The objects that the policy takes its parameters from."""
    matchResources: MatchResources | None = None
    """A further selection: a request must match this and the policy."""
    validationActions: Annotated[list[str], SetList()] = []
    """Actions after a failed validation: `Deny`, `Warn`, `Audit`; the first two exclude each other."""


class ValidatingAdmissionPolicyBinding(KubeObject):
    """Puts a validating policy to work, with parameters, a selection and actions of its own."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingAdmissionPolicyBinding")
    spec: ValidatingAdmissionPolicyBindingSpec = always(ValidatingAdmissionPolicyBindingSpec)
    """Desired state of the validating admission policy binding."""


class ValidatingWebhook(Struct):
    """A web service that may refuse objects."""

    name: str = always(str)
    """Its full name, such as `imagepolicy.example.com`."""
    clientConfig: WebhookClientConfig = always(WebhookClientConfig)
    """Address of the webhook."""
    rules: Annotated[list[RuleWithOperations], Atomic()] = []
    """The operations on resources for which it is asked."""
    failurePolicy: str | None = None
    """`Fail` refuses the request when the webhook cannot be asked, `Ignore` goes on without it."""
    matchPolicy: str | None = None
    """`Exact` takes the rules by the letter, `Equivalent` also matches the same resource in another group or version."""
    namespaceSelector: LabelSelector | None = None
    """Labels that the namespace of the object must have."""
    objectSelector: LabelSelector | None = None
    """Labels that the new or the old object must have."""
    sideEffects: str | None = None
    """Side effects of a call: `None`, or `NoneOnDryRun` when nothing is changed in a dry run."""
    timeoutSeconds: int | None = None
    """Timeout of a call in seconds, 1 to 30."""
    admissionReviewVersions: Annotated[list[str], Atomic()] = always(list)
    """Versions of AdmissionReview that it understands, the preferred one first."""
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    """Further conditions, all of which must hold for the webhook to be asked."""


class ValidatingWebhookConfiguration(KubeObject):
    """Webhooks that may refuse objects."""

    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingWebhookConfiguration")
    webhooks: Annotated[list[ValidatingWebhook], MapList("name"), Patch("merge", "name")] = []
    """The webhooks, asked side by side."""
