"""Pods of Jobs, made from the template ("Job": pod template, completion mode). Pure."""

from __future__ import annotations

import msgspec

from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING, is_indexed
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.job.pods import FAILURES, IGNORED_FAILURES, NO_INDEX
from tiphys.controllers.job.size import NewPod

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
_LONGEST_BASE = 58
"""Characters of a generated name before its random end."""


class PodMaker:
    """Makes the pods of one Job; they share the template's parts, so write them but do not change them."""

    def __init__(self, job: batch.Job) -> None:
        self._job = job
        template = job.spec.template
        self._spec = _with_index(template.spec) if is_indexed(job.spec) else template.spec
        self._finalizers = list(dict.fromkeys((*template.metadata.finalizers, TRACKING)))

    def make(self, new: NewPod) -> core.Pod:
        """Return a pod to create, without the reference to its owner."""
        job, template = self._job, self._job.spec.template.metadata
        meta = ObjectMeta(
            generateName=f"{job.metadata.name}-",
            namespace=job.metadata.namespace,
            labels=dict(template.labels),
            annotations=dict(template.annotations),
            finalizers=self._finalizers,
        )
        if new.index == NO_INDEX:
            return core.Pod(metadata=meta, spec=self._spec)
        meta.generateName = _base_name(job.metadata.name, new.index)
        meta.labels[COMPLETION_INDEX] = meta.annotations[COMPLETION_INDEX] = str(new.index)
        if new.failures is not None:
            meta.annotations[FAILURES] = str(new.failures)
        if new.ignored:
            meta.annotations[IGNORED_FAILURES] = str(new.ignored)
        return core.Pod(metadata=meta, spec=msgspec.structs.replace(self._spec, hostname=f"{job.metadata.name}-{new.index}"))


def _base_name(name: str, index: int) -> str:
    """Return the beginning of a pod's name. A long name is cut before the index, which tells the pods apart."""
    end = f"-{index}-"
    return name[: _LONGEST_BASE - len(end)] + end


def _with_index(spec: core.PodSpec) -> core.PodSpec:
    """Return a spec whose containers get their index as a variable."""
    containers, init = ([_with_variable(container) for container in group] for group in (spec.containers, spec.initContainers))
    return msgspec.structs.replace(spec, containers=containers, initContainers=init)


def _with_variable(container: core.Container) -> core.Container:
    if any(variable.name == INDEX_VARIABLE for variable in container.env):
        return container
    source = core.EnvVarSource(fieldRef=core.ObjectFieldSelector(fieldPath=f"metadata.labels['{COMPLETION_INDEX}']"))
    return msgspec.structs.replace(container, env=[*container.env, core.EnvVar(name=INDEX_VARIABLE, valueFrom=source)])
