"""Nodes and pods for tests of the scheduler."""

from __future__ import annotations

from itertools import count
from typing import Any

from tiphys.api.core import v1 as core
from tiphys.api.meta import v1 as meta
from tiphys.scheduler.slim import slim_pod
from tiphys.scheduler.template import PodInfo, Reader

_uids = count(1)


def node(
    name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", labels: dict[str, str] | None = None, **more: Any
) -> core.Node:
    """A node that takes pods."""
    amounts = {"cpu": cpu, "memory": memory, "ephemeral-storage": "100Gi", "pods": pods}
    return core.Node(
        metadata=meta.ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, **(labels or {})}),
        spec=core.NodeSpec(**more),
        status=core.NodeStatus(
            capacity=amounts,  # type: ignore[arg-type]
            allocatable=amounts,  # type: ignore[arg-type]
            conditions=[core.NodeCondition(type="Ready", status="True", reason="KubeletReady")],
        ),
    )


def pod(
    name: str,
    *,
    cpu: str = "100m",
    memory: str = "64Mi",
    host_port: int = 0,
    labels: dict[str, str] | None = None,
    on: str = "",
    **spec: Any,
) -> core.Pod:
    """A pod of one container in the default namespace."""
    requests = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    ports = [core.ContainerPort(containerPort=host_port, hostPort=host_port)] if host_port else []
    container = core.Container(
        name="main",
        image="busybox",
        ports=ports,
        resources=core.ResourceRequirements(requests=requests),  # type: ignore[arg-type]
    )
    return core.Pod(
        metadata=meta.ObjectMeta(name=name, namespace="default", labels=labels or {}),
        spec=core.PodSpec(containers=[container], automountServiceAccountToken=False, nodeName=on, **spec),
    )


def info(made: core.Pod, reader: Reader | None = None) -> PodInfo:
    """Return the scheduler's entry for a pod, which gets a uid."""
    made.metadata.uid = made.metadata.uid or f"uid-{next(_uids)}"
    return (reader or Reader()).info(slim_pod(made))
