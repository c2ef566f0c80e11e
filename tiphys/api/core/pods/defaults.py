"""Defaults of pods and their containers."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core.pods.image import pull_policy
from tiphys.api.core.resource_defaults import round_to_milli
from tiphys.api.core.v1 import (
    Container,
    EphemeralContainer,
    HTTPGetAction,
    LifecycleHandler,
    Pod,
    PodSecurityContext,
    PodSpec,
    Probe,
    ResourceRequirements,
)
from tiphys.api.core.volumes.defaults import default_divisor, default_volume
from tiphys.api.helpers.resources import aggregate
from tiphys.api.meta.v1 import LabelSelector, LabelSelectorRequirement

TERMINATION_GRACE_SECONDS = 30
_POD_LEVEL = ("cpu", "memory")
_HUGE_PAGES = "hugepages-"


def default_pod(pod: Pod) -> None:
    """A pod: everything that its spec gets, and the defaults that templates do not get."""
    spec = pod.spec
    default_pod_spec(spec)
    if spec.terminationGracePeriodSeconds is not None and spec.terminationGracePeriodSeconds < 0:
        spec.terminationGracePeriodSeconds = 1
    for container in spec.containers:
        _request_limits(container.resources)
    for container in spec.initContainers:
        _request_limits(container.resources)
    if spec.resources is not None:
        _pod_requests(spec)
    if spec.enableServiceLinks is None:
        spec.enableServiceLinks = True
    if spec.hostNetwork:
        for container in (*spec.containers, *spec.initContainers):
            for port in container.ports:
                port.hostPort = port.hostPort or port.containerPort


def default_pod_spec(spec: PodSpec) -> None:
    """The spec of a pod or of a template."""
    drop_disabled(spec)
    if not spec.dnsPolicy:
        spec.dnsPolicy = "ClusterFirst"
    if not spec.restartPolicy:
        spec.restartPolicy = "Always"
    if spec.securityContext is None:
        spec.securityContext = PodSecurityContext()
    if spec.terminationGracePeriodSeconds is None:
        spec.terminationGracePeriodSeconds = TERMINATION_GRACE_SECONDS
    if not spec.schedulerName:
        spec.schedulerName = "default-scheduler"
    # serviceAccount is the old name of serviceAccountName; both are written.
    if spec.serviceAccountName:
        spec.serviceAccount = spec.serviceAccountName
    elif spec.serviceAccount:
        spec.serviceAccountName = spec.serviceAccount
    for volume in spec.volumes:
        default_volume(volume)
    for container in spec.containers:
        default_container(container)
    for container in spec.initContainers:
        default_container(container)
    for ephemeral in spec.ephemeralContainers:
        default_container(ephemeral)
    if spec.overhead:
        round_to_milli(spec.overhead)
    if spec.resources is not None:
        round_to_milli(spec.resources.limits)
        round_to_milli(spec.resources.requests)


def merge_label_keys(pod: Pod) -> None:
    """Add the new pod's own values of `matchLabelKeys` and `mismatchLabelKeys` to the selectors beside them (KEP-3633, KEP-3243)."""
    affinity, labels = pod.spec.affinity, pod.metadata.labels
    for constraint in pod.spec.topologySpreadConstraints:
        _merge_keys(constraint.labelSelector, constraint.matchLabelKeys, "In", labels)
    if affinity is None:
        return
    for terms in (affinity.podAffinity, affinity.podAntiAffinity):
        if terms is None:
            continue
        preferred = [weighted.podAffinityTerm for weighted in terms.preferredDuringSchedulingIgnoredDuringExecution]
        for term in (*preferred, *terms.requiredDuringSchedulingIgnoredDuringExecution):
            _merge_keys(term.labelSelector, term.matchLabelKeys, "In", labels)
            _merge_keys(term.labelSelector, term.mismatchLabelKeys, "NotIn", labels)


def _merge_keys(selector: LabelSelector | None, keys: list[str], operator: str, labels: dict[str, str]) -> None:
    if selector is not None:
        more = [LabelSelectorRequirement(key=key, operator=operator, values=[labels[key]]) for key in keys if key in labels]
        if more:
            selector.matchExpressions = [*selector.matchExpressions, *more]


def drop_disabled(spec: PodSpec) -> None:
    """Take out fields of features that are off by default in this version.

    They are GenericWorkload, ClusterTrustBundleProjection, PodCertificateRequest and ContainerStopSignals ("Feature Gates").
    """
    spec.schedulingGroup = None
    for volume in spec.volumes:
        if volume.projected is not None:
            for source in volume.projected.sources:
                source.clusterTrustBundle = source.podCertificate = None
    everyone: Sequence[Container | EphemeralContainer] = spec.containers
    if spec.initContainers or spec.ephemeralContainers:
        everyone = (*spec.containers, *spec.initContainers, *spec.ephemeralContainers)
    for container in everyone:
        lifecycle = container.lifecycle
        if lifecycle is not None and lifecycle.stopSignal is not None:
            lifecycle.stopSignal = None
            if lifecycle.postStart is None and lifecycle.preStop is None:
                container.lifecycle = None


def default_container(container: Container | EphemeralContainer) -> None:
    """Default pull policy, termination message, ports, probes and hooks of a container."""
    if not container.imagePullPolicy:
        container.imagePullPolicy = pull_policy(container.image)
    if not container.terminationMessagePath:
        container.terminationMessagePath = "/dev/termination-log"
    if not container.terminationMessagePolicy:
        container.terminationMessagePolicy = "File"
    for port in container.ports:
        if not port.protocol:
            port.protocol = "TCP"
    for variable in container.env:
        source = variable.valueFrom
        if source is not None:
            if source.fieldRef is not None and not source.fieldRef.apiVersion:
                source.fieldRef.apiVersion = "v1"
            if source.fileKeyRef is not None and source.fileKeyRef.optional is None:
                source.fileKeyRef.optional = False
            if source.resourceFieldRef is not None:
                default_divisor(source.resourceFieldRef)
    resources = container.resources
    if resources.limits:
        round_to_milli(resources.limits)
    if resources.requests:
        round_to_milli(resources.requests)
    if container.livenessProbe is not None:
        _default_probe(container.livenessProbe)
    if container.readinessProbe is not None:
        _default_probe(container.readinessProbe)
    if container.startupProbe is not None:
        _default_probe(container.startupProbe)
    if container.lifecycle is not None:
        _default_handler(container.lifecycle.postStart)
        _default_handler(container.lifecycle.preStop)


def _default_probe(probe: Probe) -> None:
    if not probe.timeoutSeconds:
        probe.timeoutSeconds = 1
    if not probe.periodSeconds:
        probe.periodSeconds = 10
    if not probe.successThreshold:
        probe.successThreshold = 1
    if not probe.failureThreshold:
        probe.failureThreshold = 3
    if probe.httpGet is not None:
        _default_http(probe.httpGet)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _default_handler(handler: LifecycleHandler | None) -> None:
    if handler is not None and handler.httpGet is not None:
        _default_http(handler.httpGet)


def _default_http(action: HTTPGetAction) -> None:
    if not action.path:
        action.path = "/"
    if not action.scheme:
        action.scheme = "HTTP"


def _request_limits(resources: ResourceRequirements) -> None:
    """Default requests to the limits."""
    for name, quantity in resources.limits.items():
        resources.requests.setdefault(name, quantity)


def _pod_requests(spec: PodSpec) -> None:
    """Requests of a pod with limits: what its containers request together, or the limit ("Pod-level resources").

    Huge pages are limited first: to those of the containers, unless the pod requests some itself.
    """
    assert spec.resources is not None
    limits, requests = spec.resources.limits, spec.resources.requests
    if limits or requests:
        for name, quantity in aggregate(spec, "limits").items():
            if name.startswith(_HUGE_PAGES) and name not in requests:
                limits.setdefault(name, quantity)
    if not limits:
        return
    for name, quantity in aggregate(spec, "requests").items():
        if name in _POD_LEVEL:
            requests.setdefault(name, quantity)
    for name, quantity in limits.items():
        if name in _POD_LEVEL or name.startswith(_HUGE_PAGES):
            requests.setdefault(name, quantity)
