"""Questions about jobs that several parts ask."""

from __future__ import annotations

from typing import Final

from tiphys.api.batch.v1 import JobSpec, JobStatus

NAME_LABELS: Final = ("job-name", "batch.kubernetes.io/job-name")
CONTROLLER_LABELS: Final = ("controller-uid", "batch.kubernetes.io/controller-uid")
"""Labels of a job's pods: its name and its uid, each under the old name and the new one."""
TRACKING: Final = "batch.kubernetes.io/job-tracking"
"""Finalizer of a pod whose end its Job has yet to count ("Job termination and cleanup": tracking with finalizers)."""
COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Annotation and label of a pod of an indexed Job: its index."""
MANAGER: Final = "kubernetes.io/job-controller"
"""The built-in controller, as `managedBy` names it."""
COMPLETIONS_SOFT_LIMIT: Final = 100_000
"""Indexes that a job's status can name however they end."""


def is_indexed(spec: JobSpec) -> bool:
    return spec.completionMode == "Indexed"


def has_condition(status: JobStatus, kind: str, value: str = "True") -> bool:
    """True if the job has a condition of the type with this status."""
    return any(condition.type == kind and condition.status == value for condition in status.conditions)


def is_finished(status: JobStatus) -> bool:
    return has_condition(status, "Complete") or has_condition(status, "Failed")


def is_managed_elsewhere(spec: JobSpec) -> bool:
    """True if another controller than the built-in one looks after the job ("Job: Delegation of managing a Job object")."""
    return spec.managedBy is not None and spec.managedBy != MANAGER
