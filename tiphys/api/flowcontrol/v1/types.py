"""Priority and fairness, flowcontrol/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, SetList, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ExemptPriorityLevelConfiguration(Struct):
    nominalConcurrencyShares: int | None = None
    lendablePercent: int | None = None


class FlowDistinguisherMethod(Struct):
    type: str = always(str)


class PriorityLevelConfigurationReference(Struct):
    name: str = always(str)


class ResourcePolicyRule(Struct):
    verbs: Annotated[list[str], SetList()] = always(list)
    apiGroups: Annotated[list[str], SetList()] = always(list)
    resources: Annotated[list[str], SetList()] = always(list)
    clusterScope: bool = False
    namespaces: Annotated[list[str], SetList()] = always(list)


class ServiceAccountSubject(Struct):
    namespace: str = always(str)
    name: str = always(str)


class GroupSubject(Struct):
    name: str = always(str)


class UserSubject(Struct):
    name: str = always(str)


class Subject(Struct):
    kind: str = always(str)
    user: UserSubject | None = None
    group: GroupSubject | None = None
    serviceAccount: ServiceAccountSubject | None = None


class NonResourcePolicyRule(Struct):
    verbs: Annotated[list[str], SetList()] = always(list)
    nonResourceURLs: Annotated[list[str], SetList()] = always(list)


class PolicyRulesWithSubjects(Struct):
    subjects: Annotated[list[Subject], Atomic()] = always(list)
    resourceRules: Annotated[list[ResourcePolicyRule], Atomic()] = []
    nonResourceRules: Annotated[list[NonResourcePolicyRule], Atomic()] = []


class FlowSchemaSpec(Struct):
    priorityLevelConfiguration: PriorityLevelConfigurationReference = always(PriorityLevelConfigurationReference)
    matchingPrecedence: int = always(int)
    distinguisherMethod: FlowDistinguisherMethod | None = None
    rules: Annotated[list[PolicyRulesWithSubjects], Atomic()] = []


class FlowSchemaCondition(Struct):
    type: str = ""
    status: str = ""
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class FlowSchemaStatus(Struct):
    conditions: Annotated[list[FlowSchemaCondition], MapList("type"), Patch("merge", "type")] = []


class FlowSchema(KubeObject):
    apiVersion: str = constant("flowcontrol.apiserver.k8s.io/v1")
    kind: str = constant("FlowSchema")
    spec: FlowSchemaSpec = always(FlowSchemaSpec)
    status: FlowSchemaStatus = always(FlowSchemaStatus)


class QueuingConfiguration(Struct):
    queues: int = always(int)
    handSize: int = always(int)
    queueLengthLimit: int = always(int)


class LimitResponse(Struct):
    type: str = always(str)
    queuing: QueuingConfiguration | None = None


class LimitedPriorityLevelConfiguration(Struct):
    nominalConcurrencyShares: int | None = None
    limitResponse: LimitResponse = always(LimitResponse)
    lendablePercent: int | None = None
    borrowingLimitPercent: int | None = None


class PriorityLevelConfigurationCondition(Struct):
    type: str = ""
    status: str = ""
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class PriorityLevelConfigurationStatus(Struct):
    conditions: Annotated[list[PriorityLevelConfigurationCondition], MapList("type"), Patch("merge", "type")] = []


class PriorityLevelConfigurationSpec(Struct):
    type: str = always(str)
    limited: LimitedPriorityLevelConfiguration | None = None
    exempt: ExemptPriorityLevelConfiguration | None = None


class PriorityLevelConfiguration(KubeObject):
    apiVersion: str = constant("flowcontrol.apiserver.k8s.io/v1")
    kind: str = constant("PriorityLevelConfiguration")
    spec: PriorityLevelConfigurationSpec = always(PriorityLevelConfigurationSpec)
    status: PriorityLevelConfigurationStatus = always(PriorityLevelConfigurationStatus)
