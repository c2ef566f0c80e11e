"""Use of nodes and pods, metrics/v1beta1."""

from tiphys.api.metrics.v1beta1.types import ContainerMetrics, NodeMetrics, PodMetrics

__all__ = [
    "ContainerMetrics",
    "NodeMetrics",
    "PodMetrics",
]
