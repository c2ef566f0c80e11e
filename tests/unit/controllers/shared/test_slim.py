"""Slim pods have every field that controllers read."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.endpoints.test_plan import service
from tests.unit.controllers.make import NOW, pod, slim_pod, whole_pod
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import TRACKING
from tiphys.controllers.endpoints.backends import backends
from tiphys.controllers.replicaset.plan import rank


def test_a_slim_pod_is_judged_as_the_whole_one() -> None:
    whole: Any = whole_pod("p", ip="10.42.0.9", restarts=3, cost="7")
    whole.spec.tolerations = [core.Toleration(operator="Exists")]
    whole.spec.containers[0].env = [core.EnvVar(name="A", value="x" * 1000)]
    sidecar = core.Container(
        name="side", restartPolicy="Always", ports=[core.ContainerPort(name="admin", containerPort=9000, protocol="TCP")]
    )
    whole.spec.initContainers = [sidecar, core.Container(name="init")]
    slim = slim_pod(whole)
    assert not hasattr(slim.spec.containers[0], "env")
    assert (slim.metadata, slim.spec.tolerations, slim.spec.nodeName) == (whole.metadata, whole.spec.tolerations, whole.spec.nodeName)
    wanted = service(ports=[core.ServicePort(name=n, port=80, targetPort=n, protocol="TCP") for n in ("http", "admin")])
    shown = [[(b.address, b.ports, b.ready) for b in backends(wanted, [found], "IPv4")] for found in (whole, slim)]
    assert shown[0] == shown[1]
    assert len(shown[0][0][1]) == 2
    other = pod("other", restarts=5, cost="7")
    assert [found.metadata.name for found in rank([slim, other], [], NOW)] == [
        found.metadata.name for found in rank([whole, other], [], NOW)
    ]


def test_states_of_containers_are_kept_while_they_wait() -> None:
    whole: Any = whole_pod("p")
    (status,) = whole.status.containerStatuses
    status.state = core.ContainerState(running=core.ContainerStateRunning(startedAt=NOW))
    assert slim_pod(whole).status.containerStatuses[0].state is None
    status.state = core.ContainerState(waiting=core.ContainerStateWaiting(reason="CrashLoopBackOff", message="back-off"))
    state = slim_pod(whole).status.containerStatuses[0].state
    assert state is not None
    assert state.waiting is not None
    assert state.waiting.reason == "CrashLoopBackOff"


def test_results_of_containers_are_kept_where_a_job_counts_them() -> None:
    whole = whole_pod("p", phase="Failed")
    failed = core.ContainerState(terminated=core.ContainerStateTerminated(exitCode=42, finishedAt=NOW))
    done = core.ContainerState(terminated=core.ContainerStateTerminated(exitCode=0, finishedAt=NOW))
    whole.spec.initContainers = [core.Container(name="side", restartPolicy="Always"), core.Container(name="init")]
    whole.status.containerStatuses = [core.ContainerStatus(name="main", state=failed)]
    whole.status.initContainerStatuses = [
        core.ContainerStatus(name="side", state=core.ContainerState(running=core.ContainerStateRunning())),
        core.ContainerStatus(name="init", state=done),
        core.ContainerStatus(name="broken", state=failed),
        core.ContainerStatus(name="tried", restartCount=2, state=done),
    ]
    bare = slim_pod(whole).status
    assert [status.state for status in bare.containerStatuses] == [None]
    assert bare.initContainerStatuses == []
    whole.metadata.finalizers = [TRACKING]
    kept = slim_pod(whole)
    (main,) = kept.status.containerStatuses
    assert main.name == "main"
    assert main.state is not None
    assert main.state.terminated is not None
    assert (main.state.terminated.exitCode, main.state.terminated.finishedAt) == (42, NOW)
    assert [status.name for status in kept.status.initContainerStatuses] == ["side", "broken", "tried"]
    assert kept.status.initContainerStatuses[0].state is None
    assert [container.name for container in kept.spec.initContainers] == ["side"]
