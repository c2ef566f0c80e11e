"""Pods as a kind: their rules and registration."""

from __future__ import annotations

from types import MappingProxyType

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.annotation_rules import adopt_app_armor, mentions_kubernetes
from tiphys.api.core.pods.columns import COLUMNS
from tiphys.api.core.pods.defaults import default_pod, merge_label_keys
from tiphys.api.core.pods.parts import RESIZED, keep_but_ephemeral, keep_but_resources, validate_ephemeral, validate_resize
from tiphys.api.core.pods.update import validate_pod_status_update, validate_pod_update
from tiphys.api.core.pods.validation import validate_new_pod, validate_pod
from tiphys.api.core.pods.warnings import annotation_warnings, spec_warnings, template_warnings
from tiphys.api.core.v1 import Pod, PodCondition, PodIP, PodStatus, PodTemplateSpec
from tiphys.api.helpers.resources import qos_class
from tiphys.api.machinery.names import dns_label_messages
from tiphys.api.machinery.quantity import QuantityError, canonicalize
from tiphys.api.machinery.scheme import GroupVersionKind, Kind, Part, Rules, Subresource
from tiphys.api.machinery.subresources import PROXY, STATUS, connect


class PodRules(Rules[Pod]):
    """Pods start Pending, keep their class, and are given time to end."""

    resets = MappingProxyType(
        {"": (("status",),), "status": (("spec",), ("metadata", "deletionTimestamp"), ("metadata", "ownerReferences"))}
    )
    parts = MappingProxyType(
        {
            "ephemeralcontainers": Part(keep_but_ephemeral, validate_ephemeral, {"ephemeralContainers": frozenset()}),
            "resize": Part(
                keep_but_resources,
                validate_resize,
                {"containers": RESIZED, "initContainers": RESIZED, "resources": frozenset()},
            ),
        }
    )

    default = staticmethod(default_pod)

    def prepare_create(self, obj: Pod) -> None:
        obj.status.phase = "Pending"
        obj.status.qosClass = qos_class(obj)
        if obj.spec.schedulingGates:
            gated = PodCondition(type="PodScheduled", status="False", reason="SchedulingGated")
            gated.message = "Scheduling is blocked due to non-empty scheduling gates"
            gated.lastTransitionTime = obj.metadata.creationTimestamp
            obj.status.conditions = [gated]
        merge_label_keys(obj)
        if mentions_kubernetes(obj.metadata.annotations):
            adopt_app_armor(obj)

    def prepare_status_update(self, new: Pod, old: Pod) -> None:
        new.metadata.ownerReferences = old.metadata.ownerReferences
        status, before = new.status, old.status
        try:
            canonicalize(status)  # The rest is the old object's.
        except QuantityError:
            canonicalize(new)  # Tells the kind as well.
            raise
        _align_addresses(status)
        status.qosClass = status.qosClass or before.qosClass
        status.observedGeneration = status.observedGeneration or before.observedGeneration
        known: dict[str, int] | None = None
        for condition in status.conditions:
            if not condition.observedGeneration:
                if known is None:
                    known = {condition.type: condition.observedGeneration for condition in before.conditions}
                condition.observedGeneration = known.get(condition.type, 0)

    validate = staticmethod(validate_pod)
    validate_create = staticmethod(validate_new_pod)
    validate_update = staticmethod(validate_pod_update)
    validate_status_update = staticmethod(validate_pod_status_update)

    def warnings(self, obj: Pod, old: Pod | None) -> list[str]:
        if old is not None:
            return []  # Few people update pods by hand.
        warnings = hostname_warning(obj.metadata.name, "the Pod's hostname")
        if mentions_kubernetes(obj.metadata.annotations):
            warnings += annotation_warnings("metadata", obj.metadata, obj.spec)
        return warnings

    def spec_warnings(self, obj: Pod) -> list[str]:
        return spec_warnings("spec", obj.spec)

    def grace_period(self, obj: Pod, grace: int | None) -> int | None:
        """Return the grace period of the request or the pod's own; 0 when no container runs. A negative time is one second."""
        if not obj.spec.nodeName or obj.status.phase in ("Failed", "Succeeded"):
            return 0
        seconds = grace if grace is not None else obj.spec.terminationGracePeriodSeconds or 0
        return 1 if seconds < 0 else seconds


def _align_addresses(status: PodStatus) -> None:
    """The single address of a pod is the first of its list, whichever of the two was written; it counts when they differ."""
    if not status.podIP:
        status.podIP = status.podIPs[0].ip if status.podIPs else ""
    elif not status.podIPs or status.podIPs[0].ip != status.podIP:
        status.podIPs = [PodIP(ip=status.podIP)]


def hostname_warning(name: str, where: str) -> list[str]:
    """Warn of a name that is allowed but makes a bad hostname."""
    wrong = dns_label_messages(name)
    if not wrong:
        return []
    return [
        f"metadata.name: this is used in {where}, which can result in surprising behavior; a DNS label is recommended: [{' '.join(wrong)}]"
    ]


def workload_warnings(name: str, template: PodTemplateSpec | None, *, new: bool, changed: bool) -> list[str]:
    """Return the warnings about a workload whose pods are named after it."""
    warnings = hostname_warning(name, "Pod names and hostnames") if new else []
    return warnings + template_warnings("spec.template", template) if template is not None and (new or changed) else warnings


def format_flag(value: bool | None) -> str:
    """Spell a boolean for field selectors; absent is false."""
    return "true" if value else "false"


PODS: Kind[core.Pod] = Kind(
    type=core.Pod,
    plural="pods",
    rules=PodRules(),
    columns=COLUMNS,
    short_names=("po",),
    categories=("all",),
    subresources=(
        connect("attach", "PodAttachOptions"),
        Subresource("binding", ("create",), GroupVersionKind("", "v1", "Binding")),
        Subresource("ephemeralcontainers"),
        Subresource("eviction", ("create",), GroupVersionKind("policy", "v1", "Eviction")),
        connect("exec", "PodExecOptions"),
        Subresource("log", ("get",)),
        connect("portforward", "PodPortForwardOptions"),
        connect("proxy", "PodProxyOptions", PROXY),
        Subresource("resize"),
        STATUS,
    ),
    selectable={
        "spec.nodeName": lambda pod: pod.spec.nodeName,
        "spec.restartPolicy": lambda pod: pod.spec.restartPolicy,
        "spec.schedulerName": lambda pod: pod.spec.schedulerName,
        "spec.serviceAccountName": lambda pod: pod.spec.serviceAccountName,
        "spec.hostNetwork": lambda pod: format_flag(pod.spec.hostNetwork),
        "status.phase": lambda pod: pod.status.phase,
        "status.podIP": lambda pod: pod.status.podIP,
        "status.podIPs": lambda pod: ",".join([ip.ip for ip in pod.status.podIPs]) if pod.status.podIPs else "",
        "status.nominatedNodeName": lambda pod: pod.status.nominatedNodeName,
    },
    shown_when_deleted=True,
    from_templates=True,
)
