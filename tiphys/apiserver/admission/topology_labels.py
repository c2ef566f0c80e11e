"""PodTopologyLabels: a pod's labels tell where its node is (KEP-4742 "Expose Node Topology Labels via Downward API")."""

from __future__ import annotations

from typing import Any, Final

from tiphys.api.core.v1 import Node, Pod
from tiphys.api.machinery.scheme import Kind
from tiphys.api.well_known import REGION, ZONE
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

COPIED: Final = (ZONE, REGION)


class PodTopologyLabels(AdmissionPlugin):
    """Pods that are assigned to a node, at their creation or by a binding. The node's labels replace the pod's."""

    name = "PodTopologyLabels"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Pod and (operation, subresource) in (("CREATE", ""), ("UPDATE", "binding"))

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        node = request.source.get(Node, "", pod.spec.nodeName) if pod.spec.nodeName else None
        labels: dict[str, str] = {key: node.metadata.labels[key] for key in COPIED if key in node.metadata.labels} if node else {}
        if labels:
            pod.metadata.labels = {**pod.metadata.labels, **labels}
