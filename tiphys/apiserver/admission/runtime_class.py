"""RuntimeClass: pods that name one get its overhead and go where it can run ("Runtime Class", "Pod Overhead")."""

from __future__ import annotations

from typing import Any, Final

from tiphys.api.core.v1 import Pod
from tiphys.api.helpers.tolerations import merged
from tiphys.api.machinery.scheme import Kind
from tiphys.api.node.v1 import RuntimeClass as RuntimeClassObject
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, NotYet, Operation

PATIENCE: Final = 0.05
"""Seconds to wait for a class that another API server may just have created."""
_OTHER: Final = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_NONE: Final = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class RuntimeClass(AdmissionPlugin):
    """See the module. Overhead is never a pod's own choice."""

    name = "RuntimeClass"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Pod and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        if pod.spec.runtimeClassName is None:
            return
        runtime_class, spec = _class(request, pod.spec.runtimeClassName), pod.spec
        if runtime_class.overhead is not None:
            if spec.overhead and spec.overhead != runtime_class.overhead.podFixed:
                raise request.forbidden(_OTHER)
            spec.overhead = dict(runtime_class.overhead.podFixed)
        scheduling = runtime_class.scheduling
        if scheduling is None:
            return
        for key, value in scheduling.nodeSelector.items():
            own = spec.nodeSelector.get(key, value)
            if own != value:
                where = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                raise request.forbidden(f"conflict: {where}")
        spec.nodeSelector = {**spec.nodeSelector, **scheduling.nodeSelector}
        spec.tolerations = merged(spec.tolerations, scheduling.tolerations)

    def validate(self, request: AdmissionRequest) -> None:
        pod = request.object
        assert isinstance(pod, Pod)
        name, overhead = pod.spec.runtimeClassName, pod.spec.overhead
        if name is None:
            if overhead:
                raise request.forbidden(_NONE)
            return
        runtime_class = _class(request, name)
        if runtime_class.overhead is None:
            if overhead:
                raise request.forbidden(_NONE)
        elif overhead != runtime_class.overhead.podFixed:
            raise request.forbidden(_OTHER)


def _class(request: AdmissionRequest, name: str) -> RuntimeClassObject:
    runtime_class = request.source.get(RuntimeClassObject, "", name)
    if runtime_class is None:
        raise NotYet(request.forbidden(f'pod rejected: RuntimeClass "{name}" not found'), patience=PATIENCE, interval=0.01)
    return runtime_class
