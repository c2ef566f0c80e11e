"""Use of nodes and pods, metrics/v1beta1."""

from __future__ import annotations

from tiphys.api.machinery.base import Duration, Quantity, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class ContainerMetrics(Struct):
    """Use of resources by a container."""

    name: str = always(str)
    """Name of the container."""
    usage: dict[str, Quantity] = always(dict)
    """Amount in use: `cpu` in cores, averaged over the window, and `memory` in bytes, the working set at its end."""


class NodeMetrics(KubeObject):
    """Use of resources by a node."""

    apiVersion: str = constant("metrics.k8s.io/v1beta1")
    kind: str = constant("NodeMetrics")
    timestamp: Time | None = None
    """End of the window in which the use was measured."""
    window: Duration = always(lambda: Duration("0s"))
    """Length of the window, such as `15.02s`."""
    usage: dict[str, Quantity] = always(dict)
    """Amount in use: `cpu` in cores, averaged over the window, and `memory` in bytes, the working set at its end."""


class PodMetrics(KubeObject):
    """Use of resources by the containers of a pod."""

    apiVersion: str = constant("metrics.k8s.io/v1beta1")
    kind: str = constant("PodMetrics")
    timestamp: Time | None = None
    """End of the window in which the use was measured."""
    window: Duration = always(lambda: Duration("0s"))
    """Length of the window, such as `15.02s`."""
    containers: list[ContainerMetrics] = always(list)
    """Use of each container, measured in the same window."""
