"""Validation of containers: names, ports, environment, probes, handlers, restart policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiphys.api.core.pods import security, windows
from tiphys.api.core.pods.resources import requirements
from tiphys.api.core.v1 import (
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    EphemeralContainer,
    FileKeySelector,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    PodSpec,
    Probe,
    Volume,
)
from tiphys.api.core.volumes import validation
from tiphys.api.core.volumes.validation import ENV_FIELDS, field_ref, resource_ref
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_found_field, not_supported, required, too_many
from tiphys.api.machinery.names import (
    config_key,
    dns_label_messages,
    dns_subdomain,
    dns_subdomain_messages,
    env_var_name,
    http_header_name,
    port_name_messages,
    port_number,
    prefixed,
)
from tiphys.api.rules.basics import PROTOCOLS, Errors, dns_label, no_backsteps, non_negative, one_of, port, text

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART = ("Always", "Never", "OnFailure")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = ("ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", *_PROBES, "lifecycle")
_PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


@dataclass(slots=True)
class Scope:
    """Facts about the pod that its containers are checked against."""

    spec: PodSpec
    volumes: Mapping[str, Volume]
    claims: frozenset[str]
    host_users: bool
    grace: int | None


def containers(errors: Errors, path: str, scope: Scope) -> None:
    """The ordinary containers of a pod: one at least, with names and host ports of their own."""
    values = scope.spec.containers
    if not values:
        errors.append(required(path))
        return
    names: set[str] = set()
    ports: set[str] = set()
    for index, item in enumerate(values):
        here = f"{path}[{index}]"
        _common(errors, here, item, scope)
        if item.name in names:
            errors.append(duplicate(f"{here}.name", item.name))
        names.add(item.name)
        _running(errors, here, item, scope)
        _restart_policy(errors, here, item, init=False)
        _host_ports(errors, f"{path}[{index}]", item, ports)


def init_containers(errors: Errors, path: str, scope: Scope) -> None:
    """Init containers run one by one; those that restart always are sidecars and may have probes ("Sidecar Containers")."""
    names = {item.name for item in scope.spec.containers}
    for index, item in enumerate(scope.spec.initContainers):
        here = f"{path}[{index}]"
        _common(errors, here, item, scope)
        _restart_policy(errors, here, item, init=True)
        if item.name in names:
            errors.append(duplicate(f"{here}.name", item.name))
        elif item.name:
            names.add(item.name)
        # Upstream numbers these as if each init container were the first.
        _host_ports(errors, f"{path}[0]", item, set())
        if item.restartPolicy == "Always":
            _running(errors, here, item, scope)
            continue
        for name in ("lifecycle", *_PROBES):
            if getattr(item, name) is not None:
                errors.append(forbidden(f"{here}.{name}", "may not be set for init containers without restartPolicy=Always"))


def init_resizes(errors: Errors, path: str, spec: PodSpec) -> None:
    """Init containers of a new pod are not restarted to be resized; those of older pods may say so."""
    for index, item in enumerate(spec.initContainers):
        for number, policy in enumerate(item.resizePolicy) if item.restartPolicy != "Always" else ():
            if policy.restartPolicy == "RestartContainer":
                message = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                errors.append(invalid(f"{path}[{index}].resizePolicy[{number}].restartPolicy", policy.restartPolicy, message))


def ephemeral_containers(errors: Errors, path: str, scope: Scope) -> None:
    """Containers for debugging bear no part of the pod's work, so they have no ports, probes, handlers or resources."""
    targets = {item.name for item in (*scope.spec.containers, *scope.spec.initContainers)}
    names = set(targets)
    message = "cannot be set for an Ephemeral Container"
    for index, item in enumerate(scope.spec.ephemeralContainers):
        here = f"{path}[{index}]"
        _common(errors, here, item, scope)
        if item.image != item.image.strip():
            errors.append(invalid(f"{here}.image", item.image, "must not have leading or trailing whitespace"))
        if item.name in names:
            errors.append(duplicate(f"{here}.name", item.name))
        names.add(item.name)
        if item.targetContainerName and item.targetContainerName not in targets:
            errors.append(not_found_field(f"{here}.targetContainerName", item.targetContainerName))
        resourceful = item.resources.limits or item.resources.requests or item.resources.claims
        for name in _NOT_EPHEMERAL:
            if getattr(item, name) if name != "resources" else resourceful:
                errors.append(forbidden(f"{here}.{name}", message))
        for number, mount in enumerate(item.volumeMounts):
            for name in ("subPath", "subPathExpr"):
                if getattr(mount, name):
                    errors.append(forbidden(f"{here}.volumeMounts[{number}].{name}", message))


def _common(errors: Errors, path: str, item: Container | EphemeralContainer, scope: Scope) -> None:
    """Validate the fields of all containers."""
    if not item.name:
        errors.append(required(f"{path}.name"))
    elif dns_label_messages(item.name):
        dns_label(errors, f"{path}.name", item.name)
    if not item.image:
        errors.append(required(f"{path}.image"))
    if item.terminationMessagePolicy not in ("File", "FallbackToLogsOnError"):
        one_of(errors, f"{path}.terminationMessagePolicy", item.terminationMessagePolicy, ("File", "FallbackToLogsOnError"))
    if item.ports:
        _ports(errors, f"{path}.ports", item.ports)
    if item.env:
        _env(errors, f"{path}.env", item.env)
    if item.envFrom:
        _env_from(errors, f"{path}.envFrom", item.envFrom)
    if item.volumeMounts:
        validation.mounts(errors, f"{path}.volumeMounts", item, scope.volumes)
    if item.volumeDevices:
        validation.devices(errors, f"{path}.volumeDevices", item, scope.volumes)
    if item.imagePullPolicy not in PULL_POLICIES:
        one_of(errors, f"{path}.imagePullPolicy", item.imagePullPolicy, PULL_POLICIES)
    resources = item.resources
    if resources.limits or resources.requests or resources.claims:
        requirements(errors, f"{path}.resources", resources, scope.claims)
    if item.resizePolicy:
        _resize_policy(errors, f"{path}.resizePolicy", item, scope.spec.restartPolicy)
    if item.securityContext is not None:
        security.container(errors, f"{path}.securityContext", item.securityContext, host_users=scope.host_users)


def _running(errors: Errors, path: str, item: Container, scope: Scope) -> None:
    """Validate the fields of containers that keep running: probes and handlers."""
    if item.lifecycle is not None:
        _lifecycle(errors, f"{path}.lifecycle", item.lifecycle, scope)
    if item.livenessProbe is not None:
        _probe(errors, f"{path}.livenessProbe", item.livenessProbe, scope, once=True)
    if item.readinessProbe is not None:
        _probe(errors, f"{path}.readinessProbe", item.readinessProbe, scope, once=False)
        seconds = item.readinessProbe.terminationGracePeriodSeconds
        if seconds is not None:
            here = f"{path}.readinessProbe.terminationGracePeriodSeconds"
            errors.append(invalid(here, seconds, "must not be set for readinessProbes"))
    if item.startupProbe is not None:
        _probe(errors, f"{path}.startupProbe", item.startupProbe, scope, once=True)


def _ports(errors: Errors, path: str, values: Sequence[ContainerPort]) -> None:
    names: set[str] = set()
    for index, item in enumerate(values):
        here = f"{path}[{index}]"
        if item.name:
            if wrong := port_name_messages(item.name):
                text(errors, f"{here}.name", item.name, wrong)
            elif item.name in names:
                errors.append(duplicate(f"{here}.name", item.name))
            names.add(item.name)
        if not item.containerPort:
            errors.append(required(f"{here}.containerPort"))
        elif message := port_number(item.containerPort):
            errors.append(invalid(f"{here}.containerPort", item.containerPort, message))
        if item.hostPort and (message := port_number(item.hostPort)):
            errors.append(invalid(f"{here}.hostPort", item.hostPort, message))
        if item.protocol not in PROTOCOLS:
            one_of(errors, f"{here}.protocol", item.protocol, PROTOCOLS)


def _host_ports(errors: Errors, path: str, item: Container, seen: set[str]) -> None:
    for index, bound in enumerate(item.ports):
        if bound.hostPort:
            key = f"{bound.protocol}/{bound.hostIP}/{bound.hostPort}"
            if key in seen:
                errors.append(duplicate(f"{path}.ports[{index}].hostPort", key))
            seen.add(key)


def _env(errors: Errors, path: str, values: Sequence[EnvVar]) -> None:
    for index, item in enumerate(values):
        if not item.name:
            errors.append(required(f"{path}[{index}].name"))
        elif message := env_var_name(item.name):
            errors.append(invalid(f"{path}[{index}].name", item.name, message))
        if item.valueFrom is not None:
            _value_from(errors, f"{path}[{index}].valueFrom", item)


def _value_from(errors: Errors, path: str, item: EnvVar) -> None:
    source = item.valueFrom
    assert source is not None
    named = sum(getattr(source, name) is not None for name in _SOURCES)
    if source.fieldRef is not None:
        field_ref(errors, f"{path}.fieldRef", source.fieldRef, ENV_FIELDS)
    if source.resourceFieldRef is not None:
        resource_ref(errors, f"{path}.resourceFieldRef", source.resourceFieldRef, named=False)
    for name, ref in (("configMapKeyRef", source.configMapKeyRef), ("secretKeyRef", source.secretKeyRef)):
        if ref is not None:
            if wrong := dns_subdomain_messages(ref.name):
                text(errors, f"{path}.{name}.name", ref.name, wrong)
            if not ref.key:
                errors.append(required(f"{path}.{name}.key"))
            elif message := config_key(ref.key):
                errors.append(invalid(f"{path}.{name}.key", ref.key, message))
    if source.fileKeyRef is not None:
        _file_key(errors, f"{path}.fileKeyRef", source.fileKeyRef)
    if not named:
        message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid(path, "", message))
    elif item.value:
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif named > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _file_key(errors: Errors, path: str, file: FileKeySelector) -> None:
    if not file.key:
        errors.append(required(f"{path}.key"))
    elif message := env_var_name(file.key):
        errors.append(invalid(f"{path}.key", file.key, message))
    if not file.volumeName:
        errors.append(required(f"{path}.volumeName"))
    else:
        dns_label(errors, f"{path}.volumeName", file.volumeName)
    if not file.path:
        errors.append(required(f"{path}.path"))
    no_backsteps(errors, f"{path}.path", file.path)


def _env_from(errors: Errors, path: str, values: Sequence[EnvFromSource]) -> None:
    for index, item in enumerate(values):
        here = f"{path}[{index}]"
        if item.prefix and (message := env_var_name(item.prefix)):
            errors.append(invalid(f"{here}.prefix", item.prefix, message))
        for name, ref in (("configMapRef", item.configMapRef), ("secretRef", item.secretRef)):
            if ref is not None:
                if not ref.name:
                    errors.append(required(f"{here}.{name}.name"))
                elif message := prefixed(dns_subdomain, ref.name):
                    errors += [invalid(f"{here}.{name}.name", ref.name, one) for one in dns_subdomain_messages(ref.name)]
        if item.configMapRef is None and item.secretRef is None:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif item.configMapRef is not None and item.secretRef is not None:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _resize_policy(errors: Errors, path: str, item: Container | EphemeralContainer, restart_policy: str) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(item.resizePolicy):
        if policy.resourceName in seen:
            errors.append(duplicate(f"{path}[{index}]", policy.resourceName))
        seen.add(policy.resourceName)
        one_of(errors, path, policy.resourceName, ("cpu", "memory"))
        one_of(errors, path, policy.restartPolicy, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and policy.restartPolicy != "NotRequired":
            errors.append(invalid(path, policy.restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))


def _restart_policy(errors: Errors, path: str, item: Container, *, init: bool) -> None:
    """Restart policies of single containers and the rules that refine them."""
    if item.restartPolicy is None:
        if item.restartPolicyRules:
            errors.append(required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used"))
        if init or not item.restartPolicyRules:
            return
    elif item.restartPolicy not in _RESTART:
        errors.append(not_supported(f"{path}.restartPolicy", item.restartPolicy, _RESTART))
    if len(item.restartPolicyRules) > 20:
        errors.append(too_many(f"{path}.restartPolicyRules", len(item.restartPolicyRules), 20))
    for index, rule in enumerate(item.restartPolicyRules):
        here = f"{path}.restartPolicyRules[{index}]"
        if rule.action not in ("Restart", "RestartAllContainers"):
            errors.append(not_supported(f"{here}.action", rule.action, ("Restart", "RestartAllContainers")))
        if rule.exitCodes is None:
            errors.append(required(f"{here}.exitCodes", "must be specified"))
            continue
        if rule.exitCodes.operator not in ("In", "NotIn"):
            errors.append(not_supported(f"{here}.exitCodes.operator", rule.exitCodes.operator, ("In", "NotIn")))
        if len(rule.exitCodes.values) > 255:
            errors.append(too_many(f"{here}.exitCodes.values", len(rule.exitCodes.values), 255))


def _probe(errors: Errors, path: str, probe: Probe, scope: Scope, *, once: bool) -> None:
    """A probe; `once` when a single success has to be enough."""
    _handler(errors, path, probe, scope)
    for name in _PROBE_NUMBERS:
        value: int = getattr(probe, name)
        if value < 0:
            non_negative(errors, f"{path}.{name}", value)
    seconds = probe.terminationGracePeriodSeconds
    if seconds is not None and seconds <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0"))
    if once and probe.successThreshold != 1:
        errors.append(invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1"))


def _lifecycle(errors: Errors, path: str, lifecycle: Lifecycle, scope: Scope) -> None:
    if lifecycle.postStart is not None:
        _handler(errors, f"{path}.postStart", lifecycle.postStart, scope)
    if lifecycle.preStop is not None:
        _handler(errors, f"{path}.preStop", lifecycle.preStop, scope)
    if lifecycle.stopSignal is not None:
        if scope.spec.os is None:
            errors.append(forbidden(f"{path}.stopSignal", "may not be set for containers with empty `spec.os.name`"))
        elif not lifecycle.stopSignal.startswith("SIG"):
            errors.append(not_supported(f"{path}.stopSignal", lifecycle.stopSignal, ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM")))


def _handler(errors: Errors, path: str, handler: Probe | LifecycleHandler, scope: Scope) -> None:
    """Exactly one way to ask or to act."""
    named = [name for name in _HANDLERS if getattr(handler, name, None) is not None]
    if not named:
        errors.append(required(path, "must specify a handler type"))
        return
    for extra in named[1:]:
        errors.append(forbidden(f"{path}.{extra}", "may not specify more than 1 handler type"))
    first = named[0]
    if first == "httpGet":
        assert handler.httpGet is not None
        _http(errors, f"{path}.httpGet", handler.httpGet)
    elif first == "exec":
        assert handler.exec is not None
        if not handler.exec.command:
            errors.append(required(f"{path}.exec.command"))
    elif first == "tcpSocket":
        assert handler.tcpSocket is not None
        port(errors, f"{path}.tcpSocket.port", handler.tcpSocket.port)
    elif isinstance(handler, Probe):
        assert handler.grpc is not None
        port(errors, f"{path}.grpc.port", handler.grpc.port)
    elif handler.sleep is not None and scope.grace is not None and not 0 <= handler.sleep.seconds <= scope.grace:
        message = f"must be non-negative and less than terminationGracePeriodSeconds ({scope.grace})"
        errors.append(invalid(f"{path}.sleep", handler.sleep.seconds, message))


def _http(errors: Errors, path: str, action: HTTPGetAction) -> None:
    if not action.path:
        errors.append(required(f"{path}.path"))
    port(errors, f"{path}.port", action.port)
    if action.scheme not in ("HTTP", "HTTPS"):
        errors.append(not_supported(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS")))
    for header in action.httpHeaders:
        if message := http_header_name(header.name):
            errors.append(invalid(f"{path}.httpHeaders", header.name, message))


def file_references(errors: Errors, path: str, scope: Scope) -> None:
    """Variables read from a file name an emptyDir of the pod."""
    volumes: dict[str, Volume] | None = None
    for where, item in windows.containers(path, scope.spec):
        for number, variable in enumerate(item.env):
            source = variable.valueFrom
            if source is None or source.fileKeyRef is None:
                continue
            if volumes is None:
                volumes = {one.name: one for one in scope.spec.volumes}
            here, name = f"{where}.env[{number}].valueFrom.fileKeyRef.volumeName", source.fileKeyRef.volumeName
            volume = volumes.get(name)
            if volume is None:
                errors.append(not_found_field(here, name))
            elif volume.emptyDir is None:
                errors.append(invalid(here, name, "referenced volume must be of type emptyDir"))
