"""Nodes, and an index of pods by node."""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import status_of
from tiphys.api.well_known import OUT_OF_SERVICE
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import Informer

ON_NODE = "node of a pod"
"""Index: the name of the node that a pod is bound to."""


def node_of(pod: SlimPod) -> Iterable[str]:
    """Return the function of the ON_NODE index."""
    return (pod.spec.nodeName,) if pod.spec.nodeName else ()


def index_nodes(informer: Informer[SlimPod]) -> Informer[SlimPod]:
    """Add the ON_NODE index (harmless when it is there) and return the informer."""
    informer.add_index(ON_NODE, node_of)
    return informer


def readiness(node: core.Node) -> str:
    """Return the status of the Ready condition: True, False, Unknown, or "" before the first report."""
    return status_of(node.status.conditions, "Ready")


def is_out_of_service(node: core.Node) -> bool:
    """Return whether a node that is not ready is tainted as out of service ("Non-graceful node shutdown handling")."""
    return readiness(node) in ("False", "Unknown") and any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
