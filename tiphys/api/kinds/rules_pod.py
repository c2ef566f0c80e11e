"""The rules of pods."""

from __future__ import annotations

from types import MappingProxyType

from tiphys.api.core.v1 import Pod, PodCondition, PodIP, PodStatus, PodTemplate, PodTemplateSpec
from tiphys.api.defaults.pod import default_pod, merge_label_keys
from tiphys.api.defaults.workload import default_pod_template
from tiphys.api.helpers.resources import qos_class
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.machinery.quantity import canonicalize
from tiphys.api.machinery.scheme import Part, Rules
from tiphys.api.validation import pod as validation
from tiphys.api.validation import pod_parts, pod_update, workload
from tiphys.api.validation.pod_annotations import adopt_app_armor
from tiphys.api.validation.pod_warnings import annotation_warnings, spec_warnings, template_warnings


class PodRules(Rules[Pod]):
    """Pods start Pending, keep their class, and are given time to end."""

    resets = MappingProxyType(
        {"": (("status",),), "status": (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences"))}
    )
    parts = MappingProxyType(
        {
            "ephemeralcontainers": Part(pod_parts.keep_but_ephemeral, pod_parts.validate_ephemeral, {"ephemeralContainers": frozenset()}),
            "resize": Part(
                pod_parts.keep_but_resources,
                pod_parts.validate_resize,
                {"containers": pod_parts.RESIZED, "initContainers": pod_parts.RESIZED, "resources": frozenset()},
            ),
        }
    )

    def default(self, obj: Pod) -> None:
        default_pod(obj)

    def prepare_create(self, obj: Pod) -> None:
        obj.status.phase = "Pending"
        obj.status.qosClass = qos_class(obj)
        if obj.spec.schedulingGates:
            gated = PodCondition(type="PodScheduled", status="False", reason="SchedulingGated")
            gated.message = "Scheduling is blocked due to non-empty scheduling gates"
            gated.lastTransitionTime = obj.metadata.creationTimestamp
            obj.status.conditions = [gated]
        merge_label_keys(obj)
        if obj.metadata.annotations:
            adopt_app_armor(obj)

    def prepare_status_update(self, new: Pod, old: Pod) -> None:
        new.metadata.ownerReferences = old.metadata.ownerReferences
        canonicalize(new)
        status, before = new.status, old.status
        _align_addresses(status)
        status.qosClass = status.qosClass or before.qosClass
        status.observedGeneration = status.observedGeneration or before.observedGeneration
        if any(not condition.observedGeneration for condition in status.conditions):
            known = {condition.type: condition.observedGeneration for condition in before.conditions}
            for condition in status.conditions:
                condition.observedGeneration = condition.observedGeneration or known.get(condition.type, 0)

    def validate(self, obj: Pod) -> list[FieldError]:
        return validation.validate(obj)

    def validate_create(self, obj: Pod) -> list[FieldError]:
        return validation.validate_create(obj)

    def validate_update(self, new: Pod, old: Pod) -> list[FieldError]:
        return pod_update.validate_update(new, old)

    def validate_status_update(self, new: Pod, old: Pod) -> list[FieldError]:
        return pod_update.validate_status_update(new, old)

    def warnings(self, obj: Pod, old: Pod | None) -> list[str]:
        if old is not None:
            return []  # Few people update pods by hand.
        said = annotation_warnings("metadata", obj.metadata, obj.spec)
        return hostname_warning(obj.metadata.name, "the Pod's hostname") + said

    def spec_warnings(self, obj: Pod) -> list[str]:
        return spec_warnings("spec", obj.spec)

    def grace_period(self, obj: Pod, asked: int | None) -> int | None:
        """What was asked for or what the pod says; nothing when no container runs. A negative time is one second."""
        if not obj.spec.nodeName or obj.status.phase in ("Failed", "Succeeded"):
            return 0
        seconds = asked if asked is not None else obj.spec.terminationGracePeriodSeconds or 0
        return 1 if seconds < 0 else seconds


def _align_addresses(status: PodStatus) -> None:
    """The single address of a pod is the first of its list, whichever of the two was written; it counts when they differ."""
    if not status.podIP:
        status.podIP = status.podIPs[0].ip if status.podIPs else ""
    elif not status.podIPs or status.podIPs[0].ip != status.podIP:
        status.podIPs = [PodIP(ip=status.podIP)]


def hostname_warning(name: str, where: str) -> list[str]:
    """What to say about a name that is allowed but makes a bad hostname."""
    wrong = dns_label_messages(name)
    if not wrong:
        return []
    return [
        f"metadata.name: this is used in {where}, which can result in surprising behavior; a DNS label is recommended: [{' '.join(wrong)}]"
    ]


def workload_warnings(name: str, template: PodTemplateSpec | None, *, new: bool, changed: bool) -> list[str]:
    """What to say about a workload whose pods are named after it."""
    said = hostname_warning(name, "Pod names and hostnames") if new else []
    return said + template_warnings("spec.template", template) if template is not None and (new or changed) else said


class PodTemplateRules(Rules[PodTemplate]):
    def default(self, obj: PodTemplate) -> None:
        default_pod_template(obj)

    def prepare_create(self, obj: PodTemplate) -> None:
        obj.metadata.generation = 1

    def validate(self, obj: PodTemplate) -> list[FieldError]:
        return workload.validate_pod_template(obj)

    def warnings(self, obj: PodTemplate, old: PodTemplate | None) -> list[str]:
        return template_warnings("template", obj.template)

    def spec_changed(self, new: PodTemplate, old: PodTemplate) -> bool:
        return new.template != old.template
