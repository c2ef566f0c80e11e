"""Jobs and their pods in the states that plans look at."""

from __future__ import annotations

from datetime import datetime

from tests.unit.controllers.make import NOW, ago, slim_pod
from tiphys.api.batch import v1 as batch
from tiphys.api.batch.job import default_job
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, CONTROLLER_LABELS, TRACKING
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.job.pods import FAILURES, IGNORED_FAILURES
from tiphys.controllers.shared.claim import reference
from tiphys.controllers.shared.slim import SlimPod

UID = "uid-sum"
LABELS = {CONTROLLER_LABELS[-1]: UID}


def job(*, started: float | None = 60, restart: str = "Never", status: batch.JobStatus | None = None, **spec: object) -> batch.Job:
    """A Job with its defaults, started so many seconds ago."""
    template = core.PodTemplateSpec(
        metadata=ObjectMeta(labels=dict(LABELS)),
        spec=core.PodSpec(containers=[core.Container(name="main", image="a")], restartPolicy=restart),
    )
    wanted = batch.JobSpec(template=template, selector=LabelSelector(matchLabels=dict(LABELS)), **spec)  # type: ignore[arg-type]
    found = batch.Job(metadata=ObjectMeta(name="sum", namespace="default", uid=UID, generation=1), spec=wanted)
    default_job(found)
    found.status = status or batch.JobStatus()
    if started is not None:
        found.status.startTime = ago(started)
    return found


def indexed(completions: int, **spec: object) -> batch.Job:
    """An indexed Job that runs all of its indexes at once, unless told otherwise."""
    return job(**{"completions": completions, "parallelism": completions, "completionMode": "Indexed", **spec})  # type: ignore[arg-type]


def pod(
    name: str = "p",
    phase: str = "Running",
    *,
    index: int | None = None,
    code: int | None = None,
    ended: float = 0,
    failures: int | None = None,
    ignored: int | None = None,
    tracked: bool = True,
    deleting: bool = False,
    ready: bool = False,
    restarts: int = 0,
    condition: str = "",
    node: str = "n1",
) -> SlimPod:
    """A pod of the Job; it ended with `code`, `ended` seconds ago."""
    numbers = {COMPLETION_INDEX: index, FAILURES: failures, IGNORED_FAILURES: ignored}
    meta = ObjectMeta(
        name=name,
        namespace="default",
        uid=f"uid-{name}",
        labels=dict(LABELS),
        annotations={key: str(value) for key, value in numbers.items() if value is not None},
        finalizers=[TRACKING] if tracked else [],
        ownerReferences=[reference(job())],
        creationTimestamp=ago(100),
        deletionTimestamp=NOW if deleting else None,
    )
    conditions = [core.PodCondition(type="Ready", status="True" if ready else "False", lastTransitionTime=ago(50))]
    if condition:
        conditions.append(core.PodCondition(type=condition, status="True"))
    if code is None:
        code = {"Failed": 1, "Succeeded": 0}.get(phase)
    terminated = core.ContainerStateTerminated(exitCode=code, finishedAt=ago(ended)) if code is not None else None
    status = core.PodStatus(
        phase=phase,
        conditions=conditions,
        containerStatuses=[core.ContainerStatus(name="main", restartCount=restarts, state=core.ContainerState(terminated=terminated))],
    )
    return slim_pod(core.Pod(metadata=meta, spec=core.PodSpec(nodeName=node, containers=[core.Container(name="main")]), status=status))


def condition(type_: str, status: str = "True", *, since: datetime = NOW) -> batch.JobCondition:
    return batch.JobCondition(type=type_, status=status, reason="Because", message="of this", lastTransitionTime=since)
