"""Priority: a pod's priority class becomes the number that scheduling and eviction compare ("Pod Priority and Preemption")."""

from __future__ import annotations

from typing import Any, Final

from tiphys.api.core.v1 import Pod
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

PREEMPT: Final = "PreemptLowerPriority"
SYSTEM_PRIORITIES: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def system_priority_classes() -> list[PriorityClass]:
    """The two classes that every cluster has; written at the start when missing."""
    used = {
        "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
        "system-cluster-critical": (
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
        ),
    }
    return [
        PriorityClass(metadata=ObjectMeta(name=name), value=value, description=used[name], preemptionPolicy=PREEMPT)
        for name, value in SYSTEM_PRIORITIES.items()
    ]


class Priority(AdmissionPlugin):
    """Fills in the priority of pods, and keeps at most one class the default."""

    name = "Priority"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        if subresource:
            return False
        return (kind.type is Pod and operation in ("CREATE", "UPDATE")) or (
            kind.type is PriorityClass and operation in ("CREATE", "UPDATE")
        )

    def admit(self, request: AdmissionRequest) -> None:
        pod = request.object
        if not isinstance(pod, Pod):
            return
        if request.operation == "UPDATE":
            old = request.old_object
            # The class of a pod never changes; a client that sends an older spec back need not know the numbers.
            if isinstance(old, Pod) and pod.spec.priority is None:
                pod.spec.priority, pod.spec.preemptionPolicy = old.spec.priority, old.spec.preemptionPolicy
            return
        spec = pod.spec
        name, value, policy = self._resolve(request, spec.priorityClassName)
        if spec.priority is not None and spec.priority != value:
            raise request.forbidden(
                f"the integer value of priority ({spec.priority}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        if spec.preemptionPolicy is not None and spec.preemptionPolicy != policy:
            raise request.forbidden(
                f"the string value of PreemptionPolicy ({spec.preemptionPolicy}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec.priorityClassName, spec.priority, spec.preemptionPolicy = name, value, policy

    def validate(self, request: AdmissionRequest) -> None:
        new = request.object
        if not isinstance(new, PriorityClass) or not new.globalDefault:
            return
        for other in request.source.objects(PriorityClass):
            if other.globalDefault and other.metadata.name != new.metadata.name:
                raise request.forbidden(f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist")

    @staticmethod
    def _resolve(request: AdmissionRequest, name: str) -> tuple[str, int, str]:
        """The class's name, value and preemption policy."""
        if not name:
            # Two defaults can exist when two API servers raced; the lower one is the safer.
            chosen = None
            for item in request.source.objects(PriorityClass):
                if item.globalDefault and (chosen is None or item.value < chosen.value):
                    chosen = item
            return ("", 0, PREEMPT) if chosen is None else (chosen.metadata.name, chosen.value, chosen.preemptionPolicy or PREEMPT)
        priority_class = request.source.get(PriorityClass, "", name)
        if priority_class is not None:
            return name, priority_class.value, priority_class.preemptionPolicy or PREEMPT
        if name in SYSTEM_PRIORITIES:
            return name, SYSTEM_PRIORITIES[name], PREEMPT
        raise request.forbidden(f"no PriorityClass with name {name} was found")
