"""Jobs and cron jobs, batch/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.machinery.base import Atomic, Patch, SetList, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector, ObjectMeta


class PodFailurePolicyOnExitCodesRequirement(Struct):
    """Exit codes of containers."""

    containerName: str | None = None
    """The container; any of them if absent."""
    operator: str = always(str)
    """`In` or `NotIn`."""
    values: Annotated[list[int], SetList()] = always(list)
    """The codes, sorted and without 0 for `In`."""


class PodFailurePolicyOnPodConditionsPattern(Struct):
    """A condition of pods."""

    type: str = always(str)
    """The type of the condition."""
    status: str = always(str)
    """Its status, `True` by default."""


class PodFailurePolicyRule(Struct):
    """Action for one kind of pod failure."""

    action: str = always(str)
    """`FailJob`, `FailIndex`, `Ignore` or `Count`."""
    onExitCodes: PodFailurePolicyOnExitCodesRequirement | None = None
    """Exit codes that the rule is about."""
    onPodConditions: Annotated[list[PodFailurePolicyOnPodConditionsPattern], Atomic()] = []
    """Conditions that the rule is about."""


class PodFailurePolicy(Struct):
    """Actions for the kinds of pod failure."""

    rules: Annotated[list[PodFailurePolicyRule], Atomic()] | None = null()
    """The rules, of which the first that fits decides."""


class SuccessPolicyRule(Struct):
    """Indexes that are enough for a success."""

    succeededIndexes: str | None = None
    """The indexes, such as `0,2-4`."""
    succeededCount: int | None = None
    """How many of them must succeed."""


class SuccessPolicy(Struct):
    """Conditions under which an indexed Job succeeds early."""

    rules: Annotated[list[SuccessPolicyRule], Atomic()] = always(list)
    """The rules, of which one must fit."""


class JobSpec(Struct):
    """Desired pods, completions and limits of a Job."""

    parallelism: int | None = None
    """How many pods run at the same time."""
    completions: int | None = None
    """How many pods must succeed; if absent, the success of any ends the Job."""
    activeDeadlineSeconds: int | None = None
    """How many seconds the Job may take."""
    podFailurePolicy: PodFailurePolicy | None = None
    """What follows from the ways in which a pod may fail."""
    successPolicy: SuccessPolicy | None = None
    """When an indexed Job counts as a success before all of it has succeeded."""
    backoffLimit: int | None = None
    """How many failures of pods the Job survives, 6 by default."""
    backoffLimitPerIndex: int | None = None
    """How many failures an index survives; only for indexed Jobs."""
    maxFailedIndexes: int | None = None
    """How many indexes may fail before the Job does."""
    selector: LabelSelector | None = None
    """Labels of its pods; the server makes them."""
    manualSelector: bool | None = None
    """Whether the selector is the user's own."""
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The pods; their restart policy is `Never` or `OnFailure`."""
    ttlSecondsAfterFinished: int | None = None
    """How many seconds after its end the Job is deleted; never if absent."""
    completionMode: str | None = None
    """`NonIndexed`, or `Indexed` to give each pod a number."""
    suspend: bool | None = None
    """Whether the Job runs no pods for now."""
    podReplacementPolicy: str | None = None
    """When a pod is replaced: once it is `Failed`, or already when it is `TerminatingOrFailed`."""
    managedBy: str | None = None
    """The controller that looks after the Job, when it is not the built-in one."""


class JobTemplateSpec(Struct):
    """The Jobs that a CronJob makes."""

    metadata: ObjectMeta = always(ObjectMeta)
    """Their labels and annotations."""
    spec: JobSpec = always(JobSpec)
    """What they run."""


class CronJobSpec(Struct):
    """Schedule of a CronJob, and the template of its Jobs."""

    schedule: str = always(str)
    """The times in the notation of cron: minute, hour, day, month, day of the week."""
    timeZone: str | None = None
    """The time zone of the schedule, such as `Europe/Berlin`; that of the controller by default."""
    startingDeadlineSeconds: int | None = None
    """How many seconds late a Job may still start; a later one counts as missed."""
    concurrencyPolicy: str = ""
    """What happens while an earlier Job runs: `Allow`, `Forbid` another one, or `Replace` the earlier."""
    suspend: bool | None = None
    """Whether no more Jobs are made for now."""
    jobTemplate: JobTemplateSpec = always(JobTemplateSpec)
    """The Jobs to make."""
    successfulJobsHistoryLimit: int | None = None
    """How many finished Jobs are kept, 3 by default."""
    failedJobsHistoryLimit: int | None = None
    """How many failed Jobs are kept, 1 by default."""


class CronJobStatus(Struct):
    """Observed state of a CronJob."""

    active: Annotated[list[ObjectReference], Atomic()] = []
    """The Jobs that run."""
    lastScheduleTime: Time | None = None
    """When a Job was last due and made."""
    lastSuccessfulTime: Time | None = None
    """When a Job last finished well."""


class CronJob(KubeObject):
    """Makes Jobs at certain times, again and again."""

    apiVersion: str = constant("batch/v1")
    kind: str = constant("CronJob")
    spec: CronJobSpec = always(CronJobSpec)
    """What is wanted."""
    status: CronJobStatus = always(CronJobStatus)
    """What was observed."""


class UncountedTerminatedPods(Struct):
    """Pods that ended and are not in the counts yet."""

    succeeded: Annotated[list[str], SetList()] = []
    """UIDs of those that succeeded."""
    failed: Annotated[list[str], SetList()] = []
    """UIDs of those that failed."""


class JobCondition(Struct):
    """One aspect of how a Job stands: `Complete`, `Failed`, `Suspended` and others."""

    type: str = always(str)
    """The type of the condition, in CamelCase."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastProbeTime: Time | None = null()
    """When it was last looked at."""
    lastTransitionTime: Time | None = null()
    """When the status last changed."""
    reason: str = ""
    """Why the condition is as it is, in one word."""
    message: str = ""
    """Why the condition is as it is, for people."""


class JobStatus(Struct):
    """Observed progress of a Job."""

    conditions: Annotated[list[JobCondition], Atomic(), Patch("merge", "type")] = []
    """Aspects of how it stands, one of each type."""
    startTime: Time | None = None
    """When it began, or began again after a suspension."""
    completionTime: Time | None = None
    """When it succeeded."""
    active: int = 0
    """Pods that run or wait."""
    succeeded: int = 0
    """Pods that succeeded."""
    failed: int = 0
    """Pods that failed."""
    terminating: int | None = None
    """Pods that are going."""
    completedIndexes: str = ""
    """Indexes that succeeded, such as `1,3-5`."""
    failedIndexes: str | None = None
    """Indexes that failed for good, such as `2,7`."""
    uncountedTerminatedPods: UncountedTerminatedPods | None = None
    """Pods that ended and are still to be counted."""
    ready: int | None = None
    """Pods that are ready."""


class Job(KubeObject):
    """Runs pods until enough of them have succeeded."""

    apiVersion: str = constant("batch/v1")
    kind: str = constant("Job")
    spec: JobSpec = always(JobSpec)
    """What is wanted."""
    status: JobStatus = always(JobStatus)
    """What was observed."""
