"""Validation of pods and pod templates on creation. Updates are in `update.py`."""

from __future__ import annotations

from tiphys.api.core.internal import internal
from tiphys.api.core.pods import annotation_rules, container, scheduling, security
from tiphys.api.core.pods.annotation_rules import validate_profiles
from tiphys.api.core.pods.container import containers, ephemeral_containers, file_references, init_containers, init_resizes
from tiphys.api.core.pods.resources import overhead, pod_resources
from tiphys.api.core.pods.security import host_users
from tiphys.api.core.pods.windows import host_process, only_of_linux, only_of_windows
from tiphys.api.core.v1 import Binding, Pod, PodDNSConfig, PodSpec, PodTemplateSpec
from tiphys.api.core.volumes import validation
from tiphys.api.core.volumes.validation import made_claims
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_long
from tiphys.api.machinery.names import qualified_name, search_path_messages
from tiphys.api.machinery.remembered import Remembered
from tiphys.api.rules.addresses import legacy_ip
from tiphys.api.rules.basics import MAX_ID, Errors, annotation_map, dns_label, dns_subdomain, in_range, label_name, labels, one_of, text

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION = ("PreemptLowerPriority", "Never")


def validate_pod(pod: Pod) -> Errors:
    """Everything wrong with a pod's spec, whether it is created or updated."""
    errors: Errors = []
    spec = pod.spec
    pod_spec(errors, "spec", spec, pod=True)
    if not spec.serviceAccountName:
        for index, item in enumerate(spec.volumes):
            if item.projected is not None:
                for number, source in enumerate(item.projected.sources):
                    if source.serviceAccountToken is not None:
                        here = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                        errors.append(forbidden(here, "must not be specified when serviceAccountName is not set"))
    for kind in ("containers", "initContainers"):
        for index, item in enumerate(getattr(spec, kind)):
            if item.image != item.image.strip():
                message = "must not have leading or trailing whitespace"
                errors.append(invalid(f"spec.{kind}[{index}].image", item.image, message))
    return errors


def validate_new_pod(pod: Pod) -> Errors:
    """Refuse fields that may only be set later in a pod's life."""
    errors: Errors = []
    if pod.spec.initContainers:
        init_resizes(errors, "spec.initContainers", pod.spec)
    if pod.spec.volumes:
        made_claims(errors, "spec.volumes", pod.spec.volumes, pod.metadata.name)
    if pod.spec.ephemeralContainers:
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if pod.spec.nodeName and pod.spec.schedulingGates:
        errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    context = pod.spec.securityContext
    if context is not None and context.seLinuxChangePolicy == "MountOption":
        # Stored ones stay valid; the feature SELinuxMount is off by default.
        errors.append(not_supported("spec.securityContext.seLinuxChangePolicy", "MountOption", ("Recursive",)))
    if annotation_rules.mentions_kubernetes(pod.metadata.annotations):
        annotation_rules.validate(errors, "metadata.annotations", pod.metadata.annotations, pod.spec)
        validate_profiles(errors, "spec", pod.metadata.annotations, pod.spec)
    return errors


def validate_binding(binding: Binding) -> Errors:
    """Validate the binding of a pod to a node."""
    errors: Errors = []
    if binding.target.kind not in ("", "Node"):
        errors.append(not_supported("target.kind", binding.target.kind, ("Node", "<empty>")))
    if not binding.target.name:
        errors.append(required("target.name"))
    return errors


def template(errors: Errors, path: str, value: PodTemplateSpec) -> None:
    """The template of a workload's pods. Verdicts are remembered: most updates of a workload leave its template as it is."""
    errors += _judged_template((path, value))


def _judge_template(item: tuple[str, PodTemplateSpec]) -> Errors:
    errors: Errors = []
    path, value = item
    labels(errors, f"{path}.labels", value.metadata.labels)
    annotations = value.metadata.annotations
    annotation_map(errors, f"{path}.annotations", annotations)
    annotation_rules.validate(errors, f"{path}.annotations", annotations, value.spec)
    pod_spec(errors, f"{path}.spec", value.spec, pod=False)
    init_resizes(errors, f"{path}.spec.initContainers", value.spec)
    validate_profiles(errors, f"{path}.spec", annotations, value.spec)
    if value.spec.ephemeralContainers:
        errors.append(forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
    return errors


_judged_template = Remembered(_judge_template)


def pod_spec(errors: Errors, path: str, spec: PodSpec, *, pod: bool) -> None:
    """A pod's spec; `pod` is False for templates, which leave some things to the defaults of the pod."""
    if spec.terminationGracePeriodSeconds is None:
        errors.append(required(f"{path}.terminationGracePeriodSeconds"))
    known = validation.volumes(errors, f"{path}.volumes", spec.volumes, pod=pod)
    claims = frozenset(claim.name for claim in spec.resourceClaims)
    scope = container.Scope(spec, known, claims, spec.hostUsers is not False, spec.terminationGracePeriodSeconds)
    if spec.resourceClaims:
        _resource_claims(errors, f"{path}.resourceClaims", spec)
    containers(errors, f"{path}.containers", scope)
    if spec.initContainers:
        init_containers(errors, f"{path}.initContainers", scope)
    if spec.ephemeralContainers:
        ephemeral_containers(errors, f"{path}.ephemeralContainers", scope)
    if spec.resources is not None:
        pod_resources(errors, f"{path}.resources", spec, claims)
    if spec.hostNetwork:
        _host_network(errors, f"{path}.containers", spec, pod=pod)
    if spec.restartPolicy not in RESTART_POLICIES:
        one_of(errors, f"{path}.restartPolicy", spec.restartPolicy, RESTART_POLICIES)
    if spec.dnsPolicy not in DNS_POLICIES:
        one_of(errors, f"{path}.dnsPolicy", spec.dnsPolicy, DNS_POLICIES)
    if spec.securityContext is not None:
        security.pod(errors, f"{path}.securityContext", spec.securityContext, spec)
    host_process(errors, path, spec)
    host_users(errors, path, spec)
    _steering(errors, path, spec)
    _naming(errors, path, spec)
    _rest(errors, path, spec)
    file_references(errors, path, scope)


def _steering(errors: Errors, path: str, spec: PodSpec) -> None:
    """Validate the fields that the scheduler reads."""
    if spec.nodeSelector:
        labels(errors, f"{path}.nodeSelector", spec.nodeSelector)
    if spec.affinity is not None:
        scheduling.affinity(errors, f"{path}.affinity", spec.affinity)
    if spec.tolerations:
        scheduling.tolerations(errors, f"{path}.tolerations", spec.tolerations)
    if spec.topologySpreadConstraints:
        scheduling.spread(errors, f"{path}.topologySpreadConstraints", spec.topologySpreadConstraints)
    if spec.nodeName:
        dns_subdomain(errors, f"{path}.nodeName", spec.nodeName)
    seen: set[str] = set()
    for index, gate in enumerate(spec.schedulingGates):
        label_name(errors, f"{path}.schedulingGates[{index}]", gate.name)
        if gate.name in seen:
            errors.append(duplicate(f"{path}.schedulingGates[{index}]", gate.name))
        seen.add(gate.name)
    if spec.priorityClassName:
        dns_subdomain(errors, f"{path}.priorityClassName", spec.priorityClassName)
    if spec.preemptionPolicy is not None:
        one_of(errors, f"{path}.preemptionPolicy", spec.preemptionPolicy, _PREEMPTION)
    if spec.schedulingGroup is not None and not spec.schedulingGroup.podGroupName:
        errors.append(required(f"{path}.schedulingGroup.podGroupName"))


def _naming(errors: Errors, path: str, spec: PodSpec) -> None:
    """Names of the pod on the network and of other objects."""
    if spec.dnsConfig is not None or spec.dnsPolicy == "None":
        _dns_config(errors, f"{path}.dnsConfig", spec)
    if spec.serviceAccountName:
        dns_subdomain(errors, f"{path}.serviceAccountName", spec.serviceAccountName)
    if spec.hostname:
        dns_label(errors, f"{path}.hostname", spec.hostname)
    if spec.subdomain:
        dns_label(errors, f"{path}.subdomain", spec.subdomain)
    for index, alias in enumerate(spec.hostAliases):
        legacy_ip(errors, f"{path}.hostAliases[{index}].ip", alias.ip)
        for number, hostname in enumerate(alias.hostnames):
            dns_subdomain(errors, f"{path}.hostAliases[{index}].hostnames[{number}]", hostname)
    if spec.runtimeClassName is not None:
        dns_subdomain(errors, f"{path}.runtimeClassName", spec.runtimeClassName)
    if spec.hostnameOverride is not None:
        here = f"{path}.hostnameOverride"
        if spec.setHostnameAsFQDN:
            errors.append(forbidden(here, "may not be specified when setHostnameAsFQDN is true"))
        if spec.hostNetwork:
            errors.append(forbidden(here, "may not be specified when hostNetwork is true"))
        if len(spec.hostnameOverride) > 64:
            errors.append(too_long(here, 64))
        dns_subdomain(errors, here, spec.hostnameOverride)


def _rest(errors: Errors, path: str, spec: PodSpec) -> None:
    if spec.activeDeadlineSeconds is not None:
        in_range(errors, f"{path}.activeDeadlineSeconds", spec.activeDeadlineSeconds, 1, MAX_ID)
    for index, gate in enumerate(spec.readinessGates):
        if qualified_name(gate.conditionType):
            label_name(errors, f"{path}.readinessGates[{index}].conditionType", gate.conditionType)
    if spec.overhead:
        overhead(errors, f"{path}.overhead", spec.overhead)
    if spec.os is not None:
        # An unknown name is reported at the struct, a missing one at the field.
        one_of(errors, f"{path}.os" if spec.os.name else f"{path}.os.name", spec.os.name, ("linux", "windows"))
        if spec.os.name == "linux":
            only_of_windows(errors, path, spec)
        elif spec.os.name == "windows":
            only_of_linux(errors, path, spec)


def _host_network(errors: Errors, path: str, spec: PodSpec, *, pod: bool) -> None:
    """On the host's network a port of the container is a port of the host."""
    for index, item in enumerate(spec.containers):
        for number, port in enumerate(item.ports):
            if (pod or port.hostPort) and port.hostPort != port.containerPort:
                here = f"{path}[{index}].ports[{number}].hostPort"
                errors.append(invalid(here, port.hostPort, "must match `containerPort` when `hostNetwork` is true"))


def _dns_config(errors: Errors, path: str, spec: PodSpec) -> None:
    """The limits are those of the C library's resolver."""
    config = spec.dnsConfig or PodDNSConfig()
    if spec.dnsPolicy == "None":
        if spec.dnsConfig is None:
            errors.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not config.nameservers:
            errors.append(required(f"{path}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"))
            return
    if len(config.nameservers) > 3:
        errors.append(invalid(f"{path}.nameservers", config.nameservers, "must not have more than 3 nameservers"))
    for index, nameserver in enumerate(config.nameservers):
        legacy_ip(errors, f"{path}.nameservers[{index}]", nameserver)
    if len(config.searches) > 32:
        errors.append(invalid(f"{path}.searches", config.searches, "must not have more than 32 search paths"))
    if len(" ".join(config.searches)) > 2048:
        message = "must not have more than 2048 characters (including spaces) in the search list"
        errors.append(invalid(f"{path}.searches", config.searches, message))
    for index, search in enumerate(config.searches):
        if search != ".":
            name = search.removesuffix(".")
            text(errors, f"{path}.searches[{index}]", name, search_path_messages(name))
    for index, option in enumerate(config.options):
        if not option.name:
            errors.append(required(f"{path}.options[{index}]", "must not be empty"))


def _resource_claims(errors: Errors, path: str, spec: PodSpec) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(spec.resourceClaims):
        here = f"{path}[{index}]"
        if not claim.name:
            errors.append(required(f"{here}.name"))
        elif claim.name in seen:
            errors.append(duplicate(f"{here}.name", claim.name))
        else:
            dns_label(errors, f"{here}.name", claim.name)
            seen.add(claim.name)
        if claim.resourceClaimName is not None and claim.resourceClaimTemplateName is not None:
            message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(here, internal(claim), message))
        if claim.resourceClaimName is None and claim.resourceClaimTemplateName is None:
            message = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(here, internal(claim), message))
        for name in ("resourceClaimName", "resourceClaimTemplateName"):
            if (value := getattr(claim, name)) is not None:
                dns_subdomain(errors, f"{here}.{name}", value)
