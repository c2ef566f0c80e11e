"""DefaultTolerationSeconds and TaintNodesByCondition: how long pods bear a node that is away, and how new nodes start."""

from __future__ import annotations

from typing import Any

from tiphys.api.core.v1 import Node, Pod, Taint, Toleration
from tiphys.api.machinery.scheme import Kind
from tiphys.api.well_known import NOT_READY, UNREACHABLE
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation


class DefaultTolerationSeconds(AdmissionPlugin):
    """A pod that says nothing about nodes not ready or unreachable stays there for `not_ready` and `unreachable` seconds."""

    name = "DefaultTolerationSeconds"

    def __init__(self, *, not_ready: int = 300, unreachable: int = 300) -> None:
        self._seconds = ((NOT_READY, not_ready), (UNREACHABLE, unreachable))

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Pod and operation in ("CREATE", "UPDATE") and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        own = pod.spec.tolerations
        tolerated = {toleration.key for toleration in own if toleration.effect in ("", "NoExecute")} if own else ()
        if "" in tolerated:
            return
        missing = [
            Toleration(key=key, operator="Exists", effect="NoExecute", tolerationSeconds=seconds)
            for key, seconds in self._seconds
            if key not in tolerated
        ]
        if missing:
            pod.spec.tolerations = [*own, *missing]


class TaintNodesByCondition(AdmissionPlugin):
    """A new node takes no pods until the node controller has seen it ready."""

    name = "TaintNodesByCondition"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Node and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        node = request.object
        assert isinstance(node, Node)
        if not any(taint.key == NOT_READY and taint.effect == "NoSchedule" for taint in node.spec.taints):
            node.spec.taints = [*node.spec.taints, Taint(key=NOT_READY, effect="NoSchedule")]
