"""Admission webhooks and policies, admissionregistration/v1."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tiphys.api.base import Atomic, MapList, Patch, SetList, Struct, always, constant
from tiphys.api.meta.v1.meta import Condition, KubeObject, LabelSelector


class ApplyConfiguration(Struct):
    expression: str = ""


class AuditAnnotation(Struct):
    key: str = always(str)
    valueExpression: str = always(str)


class ExpressionWarning(Struct):
    fieldRef: str = always(str)
    warning: str = always(str)


class JSONPatch(Struct):
    expression: str = ""


class MatchCondition(Struct):
    name: str = always(str)
    expression: str = always(str)


class NamedRuleWithOperations(Struct):
    __map_type__: ClassVar[str] = "atomic"
    resourceNames: Annotated[list[str], Atomic()] = []
    apiGroups: Annotated[list[str], Atomic()] = []
    apiVersions: Annotated[list[str], Atomic()] = []
    operations: Annotated[list[str], Atomic()] = []
    resources: Annotated[list[str], Atomic()] = []
    scope: str | None = None


class MatchResources(Struct):
    __map_type__: ClassVar[str] = "atomic"
    namespaceSelector: LabelSelector | None = None
    objectSelector: LabelSelector | None = None
    resourceRules: Annotated[list[NamedRuleWithOperations], Atomic()] = []
    excludeResourceRules: Annotated[list[NamedRuleWithOperations], Atomic()] = []
    matchPolicy: str | None = None


class Mutation(Struct):
    patchType: str = always(str)
    applyConfiguration: ApplyConfiguration | None = None
    jsonPatch: JSONPatch | None = None


class Variable(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = always(str)
    expression: str = always(str)


class ParamKind(Struct):
    __map_type__: ClassVar[str] = "atomic"
    apiVersion: str = ""
    kind: str = ""


class MutatingAdmissionPolicySpec(Struct):
    paramKind: ParamKind | None = None
    matchConstraints: MatchResources | None = None
    variables: Annotated[list[Variable], Atomic()] = []
    mutations: Annotated[list[Mutation], Atomic()] = []
    failurePolicy: str | None = None
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    reinvocationPolicy: str = ""


class MutatingAdmissionPolicy(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingAdmissionPolicy")
    spec: MutatingAdmissionPolicySpec = always(MutatingAdmissionPolicySpec)


class ParamRef(Struct):
    __map_type__: ClassVar[str] = "atomic"
    name: str = ""
    namespace: str = ""
    selector: LabelSelector | None = None
    parameterNotFoundAction: str | None = None


class MutatingAdmissionPolicyBindingSpec(Struct):
    policyName: str = ""
    paramRef: ParamRef | None = None
    matchResources: MatchResources | None = None


class MutatingAdmissionPolicyBinding(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingAdmissionPolicyBinding")
    spec: MutatingAdmissionPolicyBindingSpec = always(MutatingAdmissionPolicyBindingSpec)


class RuleWithOperations(Struct):
    operations: Annotated[list[str], Atomic()] = []
    apiGroups: Annotated[list[str], Atomic()] = []
    apiVersions: Annotated[list[str], Atomic()] = []
    resources: Annotated[list[str], Atomic()] = []
    scope: str | None = None


class ServiceReference(Struct):
    namespace: str = always(str)
    name: str = always(str)
    path: str | None = None
    port: int | None = None


class WebhookClientConfig(Struct):
    url: str | None = None
    service: ServiceReference | None = None
    caBundle: bytes = b""


class MutatingWebhook(Struct):
    name: str = always(str)
    clientConfig: WebhookClientConfig = always(WebhookClientConfig)
    rules: Annotated[list[RuleWithOperations], Atomic()] = []
    failurePolicy: str | None = None
    matchPolicy: str | None = None
    namespaceSelector: LabelSelector | None = None
    objectSelector: LabelSelector | None = None
    sideEffects: str | None = None
    timeoutSeconds: int | None = None
    admissionReviewVersions: Annotated[list[str], Atomic()] = always(list)
    reinvocationPolicy: str | None = None
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []


class MutatingWebhookConfiguration(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("MutatingWebhookConfiguration")
    webhooks: Annotated[list[MutatingWebhook], MapList("name"), Patch("merge", "name")] = []


class TypeChecking(Struct):
    expressionWarnings: Annotated[list[ExpressionWarning], Atomic()] = []


class ValidatingAdmissionPolicyStatus(Struct):
    observedGeneration: int = 0
    typeChecking: TypeChecking | None = None
    conditions: Annotated[list[Condition], MapList("type")] = []


class Validation(Struct):
    expression: str = always(str)
    message: str = ""
    reason: str | None = None
    messageExpression: str = ""


class ValidatingAdmissionPolicySpec(Struct):
    paramKind: ParamKind | None = None
    matchConstraints: MatchResources | None = None
    validations: Annotated[list[Validation], Atomic()] = []
    failurePolicy: str | None = None
    auditAnnotations: Annotated[list[AuditAnnotation], Atomic()] = []
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []
    variables: Annotated[list[Variable], MapList("name"), Patch("merge", "name")] = []


class ValidatingAdmissionPolicy(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingAdmissionPolicy")
    spec: ValidatingAdmissionPolicySpec = always(ValidatingAdmissionPolicySpec)
    status: ValidatingAdmissionPolicyStatus = always(ValidatingAdmissionPolicyStatus)


class ValidatingAdmissionPolicyBindingSpec(Struct):
    policyName: str = ""
    paramRef: ParamRef | None = None
    matchResources: MatchResources | None = None
    validationActions: Annotated[list[str], SetList()] = []


class ValidatingAdmissionPolicyBinding(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingAdmissionPolicyBinding")
    spec: ValidatingAdmissionPolicyBindingSpec = always(ValidatingAdmissionPolicyBindingSpec)


class ValidatingWebhook(Struct):
    name: str = always(str)
    clientConfig: WebhookClientConfig = always(WebhookClientConfig)
    rules: Annotated[list[RuleWithOperations], Atomic()] = []
    failurePolicy: str | None = None
    matchPolicy: str | None = None
    namespaceSelector: LabelSelector | None = None
    objectSelector: LabelSelector | None = None
    sideEffects: str | None = None
    timeoutSeconds: int | None = None
    admissionReviewVersions: Annotated[list[str], Atomic()] = always(list)
    matchConditions: Annotated[list[MatchCondition], MapList("name"), Patch("merge", "name")] = []


class ValidatingWebhookConfiguration(KubeObject):
    apiVersion: str = constant("admissionregistration.k8s.io/v1")
    kind: str = constant("ValidatingWebhookConfiguration")
    webhooks: Annotated[list[ValidatingWebhook], MapList("name"), Patch("merge", "name")] = []
