"""Priority and fairness, flowcontrol/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, MapList, Patch, SetList, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class ExemptPriorityLevelConfiguration(Struct):
    """A level whose requests never wait."""

    nominalConcurrencyShares: int | None = None
    """Its share of the server's seats, which others may borrow; 0 by default."""
    lendablePercent: int | None = None
    """Percentage of its share that others may borrow."""


class FlowDistinguisherMethod(Struct):
    """Attribute that tells the flows of a schema apart."""

    type: str = always(str)
    """`ByUser` or `ByNamespace`."""


class PriorityLevelConfigurationReference(Struct):
    """A level, by name."""

    name: str = always(str)
    """The name of the PriorityLevelConfiguration."""


class ResourcePolicyRule(Struct):
    """Requests to resources."""

    verbs: Annotated[list[str], SetList()] = always(list)
    """Verbs, `*` for all."""
    apiGroups: Annotated[list[str], SetList()] = always(list)
    """API groups, `*` for all."""
    resources: Annotated[list[str], SetList()] = always(list)
    """Resources and subresources such as `pods/log`, `*` for all."""
    clusterScope: bool = False
    """True if requests without a namespace match."""
    namespaces: Annotated[list[str], SetList()] | None = null()
    """Namespaces that match, `*` for all."""


class ServiceAccountSubject(Struct):
    """A service account."""

    namespace: str = always(str)
    """Its namespace."""
    name: str = always(str)
    """Its name, `*` for all of the namespace."""


class GroupSubject(Struct):
    """A group of users."""

    name: str = always(str)
    """Its name, `*` for all."""


class UserSubject(Struct):
    """A user."""

    name: str = always(str)
    """The name, `*` for all."""


class Subject(Struct):
    """User, group or service account that sends requests."""

    kind: str = always(str)
    """`User`, `Group` or `ServiceAccount`; the field of that name is set."""
    user: UserSubject | None = None
    """A user."""
    group: GroupSubject | None = None
    """A group of users."""
    serviceAccount: ServiceAccountSubject | None = None
    """A service account."""


class NonResourcePolicyRule(Struct):
    """Requests to paths that are no resources."""

    verbs: Annotated[list[str], SetList()] = always(list)
    """Methods in small letters, `*` for all."""
    nonResourceURLs: Annotated[list[str], SetList()] = always(list)
    """Paths such as `/healthz` or `/healthz/*`, `*` for all."""


class PolicyRulesWithSubjects(Struct):
    """Matching requests, by sender, verb and resource."""

    subjects: Annotated[list[Subject], Atomic()] = always(list)
    """Senders of the requests; one must match."""
    resourceRules: Annotated[list[ResourcePolicyRule], Atomic()] = []
    """Requests to resources; one of these or of the others must match."""
    nonResourceRules: Annotated[list[NonResourcePolicyRule], Atomic()] = []
    """Requests to other paths."""


class FlowSchemaSpec(Struct):
    """Requests of a flow schema, and the priority level that they go to."""

    priorityLevelConfiguration: PriorityLevelConfigurationReference = always(PriorityLevelConfigurationReference)
    """The level that they go to."""
    matchingPrecedence: int = always(int)
    """Order of the schema among all: the lowest number that matches decides, 1 to 10000."""
    distinguisherMethod: FlowDistinguisherMethod | None = None
    """Method of telling flows apart; without it all requests are one flow."""
    rules: Annotated[list[PolicyRulesWithSubjects], Atomic()] = []
    """Requests that match; one rule must."""


class FlowSchemaCondition(Struct):
    """One aspect of how a schema stands: `Dangling` when its level does not exist."""

    type: str = ""
    """The type of the condition, in CamelCase."""
    status: str = ""
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class FlowSchemaStatus(Struct):
    """Observed state of a flow schema."""

    conditions: Annotated[list[FlowSchemaCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class FlowSchema(KubeObject):
    """Sends requests that match to a priority level, and tells their flows apart."""

    apiVersion: str = constant("flowcontrol.apiserver.k8s.io/v1")
    kind: str = constant("FlowSchema")
    spec: FlowSchemaSpec = always(FlowSchemaSpec)
    """Desired state of the flow schema."""
    status: FlowSchemaStatus = always(FlowSchemaStatus)
    """Observed state of the flow schema."""


class QueuingConfiguration(Struct):
    """Queues of a priority level."""

    queues: int = always(int)
    """Number of queues, 64 by default."""
    handSize: int = always(int)
    """Number of queues that a flow may choose from, 8 by default."""
    queueLengthLimit: int = always(int)
    """Maximum length of a queue, 50 by default."""


class LimitResponse(Struct):
    """Treatment of requests that cannot run at once."""

    type: str = always(str)
    """`Queue`, or `Reject` at once."""
    queuing: QueuingConfiguration | None = None
    """Queues, with the first type."""


class LimitedPriorityLevelConfiguration(Struct):
    """A level whose requests share seats."""

    nominalConcurrencyShares: int | None = None
    """Its share of the server's seats, compared with those of other levels; 30 by default."""
    limitResponse: LimitResponse = always(LimitResponse)
    """Treatment of requests when no seat is free."""
    lendablePercent: int | None = None
    """Percentage of its share that other levels may borrow."""
    borrowingLimitPercent: int | None = None
    """Maximum that it may borrow, in percent of its share; without limit if absent."""


class PriorityLevelConfigurationCondition(Struct):
    """One aspect of how a level stands."""

    type: str = ""
    """The type of the condition, in CamelCase."""
    status: str = ""
    """`True`, `False` or `Unknown`."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class PriorityLevelConfigurationStatus(Struct):
    """Observed state of a priority level."""

    conditions: Annotated[list[PriorityLevelConfigurationCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""


class PriorityLevelConfigurationSpec(Struct):
    """Seats of a priority level, and its treatment of requests."""

    type: str = always(str)
    """`Limited`, or `Exempt` from limits."""
    limited: LimitedPriorityLevelConfiguration | None = None
    """The limits, with the first type."""
    exempt: ExemptPriorityLevelConfiguration | None = None
    """Shares of an exempt level, with the second type."""


class PriorityLevelConfiguration(KubeObject):
    """A level of priority: how many requests it serves at a time."""

    apiVersion: str = constant("flowcontrol.apiserver.k8s.io/v1")
    kind: str = constant("PriorityLevelConfiguration")
    spec: PriorityLevelConfigurationSpec = always(PriorityLevelConfigurationSpec)
    """Desired state of the priority level configuration."""
    status: PriorityLevelConfigurationStatus = always(PriorityLevelConfigurationStatus)
    """Observed state of the priority level configuration."""
