"""Tables of workloads."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.apps.v1 import ControllerRevision
from tiphys.api.batch.v1 import CronJob, Job
from tiphys.api.columns.base import AGE, NAME, NONE, cell, duration, format_labels, format_selector, images_of, names_of, since
from tiphys.api.core.v1 import Container, ReplicationController
from tiphys.api.helpers.jobs import has_condition
from tiphys.api.machinery.scheme import Column

_CONTAINERS = (
    Column("Containers", cell(lambda obj: names_of(obj.spec.template.spec.containers)), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(obj.spec.template.spec.containers)), priority=1, description="Images of the containers."),
)
_SELECTOR = Column("Selector", cell(lambda obj: format_selector(obj.spec.selector)), priority=1, description="The labels of its pods.")
_TEMPLATE = (*_CONTAINERS, _SELECTOR)

DEPLOYMENTS = (
    NAME,
    Column("Ready", cell(lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}"), description="Ready pods, of how many."),
    Column("Up-to-date", cell(lambda obj: obj.status.updatedReplicas), description="Pods of the current template."),
    Column("Available", cell(lambda obj: obj.status.availableReplicas), description="Pods that have been ready long enough."),
    AGE,
    *_TEMPLATE,
)

_REPLICAS = (
    NAME,
    Column("Desired", cell(lambda obj: obj.spec.replicas or 0), type="integer", description="How many pods there are to be."),
    Column("Current", cell(lambda obj: obj.status.replicas), type="integer", description="How many pods there are."),
    Column("Ready", cell(lambda obj: obj.status.readyReplicas), type="integer", description="How many of them are ready."),
    AGE,
)

REPLICA_SETS = (*_REPLICAS, *_TEMPLATE)


def _made(controller: ReplicationController) -> list[Container]:
    return controller.spec.template.spec.containers if controller.spec.template is not None else []


REPLICATION_CONTROLLERS = (
    *_REPLICAS,
    Column("Containers", cell(lambda obj: names_of(_made(obj))), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(_made(obj))), priority=1, description="Images of the containers."),
    Column("Selector", cell(lambda obj: format_labels(obj.spec.selector)), priority=1, description="The labels of its pods."),
)

STATEFUL_SETS = (
    NAME,
    Column("Ready", cell(lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}"), description="Ready pods, of how many."),
    AGE,
    *_CONTAINERS,
)

DAEMON_SETS = (
    NAME,
    Column("Desired", cell(lambda obj: obj.status.desiredNumberScheduled), type="integer", description="Nodes that should run a pod."),
    Column("Current", cell(lambda obj: obj.status.currentNumberScheduled), type="integer", description="Nodes that do."),
    Column("Ready", cell(lambda obj: obj.status.numberReady), type="integer", description="Nodes whose pod is ready."),
    Column("Up-to-date", cell(lambda obj: obj.status.updatedNumberScheduled), type="integer", description="Nodes with a current pod."),
    Column("Available", cell(lambda obj: obj.status.numberAvailable), type="integer", description="Nodes whose pod was ready long enough."),
    Column("Node Selector", cell(lambda obj: format_labels(obj.spec.template.spec.nodeSelector)), description="The nodes it is for."),
    AGE,
    *_TEMPLATE,
)


def _controller(revision: ControllerRevision) -> str:
    for owner in revision.metadata.ownerReferences:
        if owner.controller:
            group = owner.apiVersion.rpartition("/")[0]
            return f"{owner.kind.lower()}.{group}/{owner.name}" if group else f"{owner.kind.lower()}/{owner.name}"
    return NONE


CONTROLLER_REVISIONS = (
    NAME,
    Column("Controller", cell(_controller), description="The workload that keeps this revision."),
    Column("Revision", cell(lambda obj: obj.revision), description="Its number."),
    AGE,
)


def _job_status(job: Job) -> str:
    for name in ("Complete", "Failed"):
        if has_condition(job.status, name):
            return name
    if job.metadata.deletionTimestamp is not None:
        return "Terminating"
    for name in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if has_condition(job.status, name):
            return name
    return "Running"


def _completions(job: Job) -> str:
    spec, done = job.spec, job.status.succeeded
    if spec.completions is not None:
        return f"{done}/{spec.completions}"
    parallelism = spec.parallelism or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Job, now: datetime) -> str:
    started = job.status.startTime
    return "" if started is None else duration(((job.status.completionTime or now) - started).total_seconds())


JOBS = (
    NAME,
    Column("Status", cell(_job_status), description="How the job is doing, in one word."),
    Column("Completions", cell(_completions), description="Pods that succeeded, of how many."),
    Column("Duration", _job_duration, description="How long it took, or has taken so far."),
    AGE,
    *_TEMPLATE,
)


def _last_schedule(cron_job: CronJob, now: datetime) -> str:
    last = cron_job.status.lastScheduleTime
    return NONE if last is None else since(last, now)


def _cron_containers(cron_job: CronJob) -> list[Container]:
    return cron_job.spec.jobTemplate.spec.template.spec.containers


CRON_JOBS = (
    NAME,
    Column("Schedule", cell(lambda obj: obj.spec.schedule), description="When jobs are made."),
    Column("Timezone", cell(lambda obj: NONE if obj.spec.timeZone is None else obj.spec.timeZone), description="By whose clocks."),
    Column("Suspend", cell(lambda obj: str(bool(obj.spec.suspend))), type="boolean", description="Whether no jobs are made for now."),
    Column("Active", cell(lambda obj: len(obj.status.active)), type="integer", description="Jobs that run."),
    Column("Last Schedule", _last_schedule, description="How long ago the last job was made."),
    AGE,
    Column("Containers", cell(lambda obj: names_of(_cron_containers(obj))), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(_cron_containers(obj))), priority=1, description="Images of the containers."),
    Column(
        "Selector", cell(lambda obj: format_selector(obj.spec.jobTemplate.spec.selector)), priority=1, description="The labels of its pods."
    ),
)
