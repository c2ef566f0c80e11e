"""Jobs and cron jobs, batch/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Patch, SetList, Struct, Time, always, constant
from tiphys.api.core.v1.pod import PodTemplateSpec
from tiphys.api.core.v1.reference import ObjectReference
from tiphys.api.meta.v1.meta import KubeObject, LabelSelector, ObjectMeta


class PodFailurePolicyOnExitCodesRequirement(Struct):
    containerName: str | None = None
    operator: str = always(str)
    values: Annotated[list[int], SetList()] = always(list)


class PodFailurePolicyOnPodConditionsPattern(Struct):
    type: str = always(str)
    status: str = always(str)


class PodFailurePolicyRule(Struct):
    action: str = always(str)
    onExitCodes: PodFailurePolicyOnExitCodesRequirement | None = None
    onPodConditions: Annotated[list[PodFailurePolicyOnPodConditionsPattern], Atomic()] = []


class PodFailurePolicy(Struct):
    rules: Annotated[list[PodFailurePolicyRule], Atomic()] = always(list)


class SuccessPolicyRule(Struct):
    succeededIndexes: str | None = None
    succeededCount: int | None = None


class SuccessPolicy(Struct):
    rules: Annotated[list[SuccessPolicyRule], Atomic()] = always(list)


class JobSpec(Struct):
    parallelism: int | None = None
    completions: int | None = None
    activeDeadlineSeconds: int | None = None
    podFailurePolicy: PodFailurePolicy | None = None
    successPolicy: SuccessPolicy | None = None
    backoffLimit: int | None = None
    backoffLimitPerIndex: int | None = None
    maxFailedIndexes: int | None = None
    selector: LabelSelector | None = None
    manualSelector: bool | None = None
    template: PodTemplateSpec = always(PodTemplateSpec)
    ttlSecondsAfterFinished: int | None = None
    completionMode: str | None = None
    suspend: bool | None = None
    podReplacementPolicy: str | None = None
    managedBy: str | None = None


class JobTemplateSpec(Struct):
    metadata: ObjectMeta = always(ObjectMeta)
    spec: JobSpec = always(JobSpec)


class CronJobSpec(Struct):
    schedule: str = always(str)
    timeZone: str | None = None
    startingDeadlineSeconds: int | None = None
    concurrencyPolicy: str = ""
    suspend: bool | None = None
    jobTemplate: JobTemplateSpec = always(JobTemplateSpec)
    successfulJobsHistoryLimit: int | None = None
    failedJobsHistoryLimit: int | None = None


class CronJobStatus(Struct):
    active: Annotated[list[ObjectReference], Atomic()] = []
    lastScheduleTime: Time | None = None
    lastSuccessfulTime: Time | None = None


class CronJob(KubeObject):
    apiVersion: str = constant("batch/v1")
    kind: str = constant("CronJob")
    spec: CronJobSpec = always(CronJobSpec)
    status: CronJobStatus = always(CronJobStatus)


class UncountedTerminatedPods(Struct):
    succeeded: Annotated[list[str], SetList()] = []
    failed: Annotated[list[str], SetList()] = []


class JobCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastProbeTime: Time | None = None
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class JobStatus(Struct):
    conditions: Annotated[list[JobCondition], Atomic(), Patch("merge", "type")] = []
    startTime: Time | None = None
    completionTime: Time | None = None
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int | None = None
    completedIndexes: str = ""
    failedIndexes: str | None = None
    uncountedTerminatedPods: UncountedTerminatedPods | None = None
    ready: int | None = None


class Job(KubeObject):
    apiVersion: str = constant("batch/v1")
    kind: str = constant("Job")
    spec: JobSpec = always(JobSpec)
    status: JobStatus = always(JobStatus)
