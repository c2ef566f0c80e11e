"""Match of a request to its flow schema, and to a flow of it ("API Priority and Fairness: FlowSchema"). Pure."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Sequence

from tiphys.api.flowcontrol import v1 as flow
from tiphys.apiserver.auth.user import User, split_service_account
from tiphys.apiserver.chain.routes import RequestInfo

ALL = "*"


def matches(schema: flow.FlowSchema, user: User, info: RequestInfo, namespace: str) -> bool:
    """Return whether a schema has a rule for this request of this user."""
    for rule in schema.spec.rules:
        if not any(_is_subject(subject, user) for subject in rule.subjects):
            continue
        if info.is_resource:
            if any(_is_resource(resource_rule, info, namespace) for resource_rule in rule.resourceRules):
                return True
        elif any(_is_path(path_rule, info) for path_rule in rule.nonResourceRules):
            return True
    return False


def _is_subject(subject: flow.Subject, user: User) -> bool:
    match subject.kind:
        case "User":
            return subject.user is not None and subject.user.name in (ALL, user.name)
        case "Group":
            return subject.group is not None and (subject.group.name == ALL or subject.group.name in user.groups)
        case "ServiceAccount":
            account, who = subject.serviceAccount, split_service_account(user.name)
            return account is not None and who is not None and account.namespace == who[0] and account.name in (ALL, who[1])
    return False


def _has(values: Sequence[str], value: str) -> bool:
    return value in values or ALL in values


def _is_resource(rule: flow.ResourcePolicyRule, info: RequestInfo, namespace: str) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not (_has(rule.verbs, info.verb) and _has(rule.resources, resource) and _has(rule.apiGroups, info.group)):
        return False
    return _has(rule.namespaces or [], namespace) if namespace else rule.clusterScope


def _is_path(rule: flow.NonResourcePolicyRule, info: RequestInfo) -> bool:
    if not _has(rule.verbs, info.verb):
        return False
    for url in rule.nonResourceURLs:
        if url in (ALL, info.path) or info.path.startswith(url.removesuffix("*").removesuffix("/") + "/"):
            return True
    return False


def distinguisher(schema: flow.FlowSchema, user: User, namespace: str) -> str:
    """Return the value that tells the flows of a schema apart: the user, the namespace, or nothing."""
    method = schema.spec.distinguisherMethod
    if method is None:
        return ""
    return user.name if method.type == "ByUser" else namespace


def deal(schema: str, flow_name: str, queues: int, hand: int) -> tuple[int, ...]:
    """The queues that a flow may use: `hand` different ones of `queues`, chosen by a hash ("shuffle sharding").

    Two flows seldom share all of theirs, so a flow that fills its own leaves others a queue.
    """
    number = int.from_bytes(hashlib.sha256(f"{schema}\0{flow_name}".encode()).digest()[:8], "big")
    dealt: list[int] = []
    chosen: list[int] = []
    for gone in range(hand):
        number, card = divmod(number, queues - gone)
        for taken in dealt:
            # The card counts those that are left: step over each that lies before it.
            if card < taken:
                break
            card += 1
        insort(dealt, card)
        chosen.append(card)
    return tuple(chosen)
