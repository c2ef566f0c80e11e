"""The checks of the level baseline: known ways from a container to its node."""

from __future__ import annotations

from typing import Final

from tiphys.api.core.v1 import LifecycleHandler, PodSpec, Probe, SELinuxOptions
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.podsecurity.words import Check, Finding, containers, in_user_namespace, named, plural, quoted, secured, setters

_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
_CONFINED: Final = ("RuntimeDefault", "Localhost")
_CAPABILITIES: Final = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_SYSCTLS: Final = frozenset(
    (
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"),
        *("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"),
    )
)
_SYSCTLS_27: Final = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_KEEPALIVE: Final = frozenset(f"net.ipv4.tcp_{name}" for name in ("keepalive_time", "fin_timeout", "keepalive_intvl", "keepalive_probes"))
_SYSCTLS_29: Final = _SYSCTLS_27 | _KEEPALIVE
_SYSCTLS_32: Final = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SELINUX_TYPES: Final = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SELINUX_TYPES_31: Final = _SELINUX_TYPES | {"container_engine_t"}


def app_armor(meta: ObjectMeta, spec: PodSpec) -> Finding | None:
    wrong: set[str] = set()
    pod = spec.securityContext is not None and _wrong_type(spec.securityContext.appArmorProfile, wrong)
    names = [name for name, context in secured(spec) if _wrong_type(context.appArmorProfile, wrong)]
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in meta.annotations.items()
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    who = [text for text in (setters(pod, names), plural("annotation", "annotations", len(annotations)) if annotations else "") if text]
    if not who:
        return None
    values = [*sorted(wrong), *annotations]
    reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(values))
    return Finding(reason, f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}")


def _wrong_type(profile: object, wrong: set[str]) -> bool:
    """True if a profile leaves a container unconfined; then its type is noted."""
    type_ = getattr(profile, "type", None)
    if type_ is None or type_ in _CONFINED:
        return False
    wrong.add(type_)
    return True


def capabilities(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    wrong: set[str] = set()
    names = []
    for name, context in secured(spec):
        added = set(context.capabilities.add) - _CAPABILITIES if context.capabilities is not None else set()
        if added:
            names.append(name)
            wrong |= added
    if not names:
        return None
    return Finding(
        "non-default capabilities", f"{named(names)} must not include {quoted(sorted(wrong))} in securityContext.capabilities.add"
    )


def host_namespaces(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if getattr(spec, name)]
    return Finding("host namespaces", ", ".join(shared)) if shared else None


def host_paths(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    names = [volume.name for volume in spec.volumes if volume.hostPath is not None]
    return Finding("hostPath volumes", f"{plural('volume', 'volumes', len(names))} {quoted(names)}") if names else None


def host_ports(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    ports: set[str] = set()
    names = []
    for container in containers(spec):
        numbers = {str(port.hostPort) for port in container.ports if port.hostPort}
        if numbers:
            names.append(container.name)
            ports |= numbers
    if not names:
        return None
    uses = plural("uses", "use", len(names))
    return Finding("hostPort", f"{named(names)} {uses} {plural('hostPort', 'hostPorts', len(ports))} {', '.join(sorted(ports))}")


def probe_hosts(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    """Probes and hooks that name a host make the node send requests wherever the pod wants."""
    hosts: set[str] = set()
    names = set()
    for container in containers(spec):
        lifecycle = container.lifecycle
        targets = {
            host
            for probe in (
                container.livenessProbe,
                container.readinessProbe,
                container.startupProbe,
                lifecycle.postStart if lifecycle is not None else None,
                lifecycle.preStop if lifecycle is not None else None,
            )
            if probe is not None
            for host in _hosts(probe)
        }
        if targets:
            names.add(container.name)
            hosts |= targets
    if not names:
        return None
    what = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Finding("probe or lifecycle host", f"{named(sorted(names))} {plural('uses', 'use', len(names))} {what} {quoted(sorted(hosts))}")


def _hosts(probe: Probe | LifecycleHandler) -> list[str]:
    return [action.host for action in (probe.httpGet, probe.tcpSocket) if action is not None and action.host]


def privileged(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    names = [name for name, context in secured(spec) if context.privileged]
    return Finding("privileged", f"{named(names)} must not set securityContext.privileged=true") if names else None


def proc_mount(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    mounts = {name: context.procMount for name, context in secured(spec) if context.procMount not in (None, "Default")}
    if not mounts:
        return None
    types = quoted(sorted({str(type_) for type_ in mounts.values()}))
    return Finding("procMount", f"{named(list(mounts))} must not set securityContext.procMount to {types}")


def proc_mount_35(meta: ObjectMeta, spec: PodSpec) -> Finding | None:
    return None if in_user_namespace(spec) else proc_mount(meta, spec)


def _selinux(allowed: frozenset[str]) -> Check:
    def check(_: ObjectMeta, spec: PodSpec) -> Finding | None:
        wrong: list[SELinuxOptions] = []

        def is_wrong(options: SELinuxOptions | None) -> bool:
            if options is None or (options.type in allowed and not options.user and not options.role):
                return False
            wrong.append(options)
            return True

        pod = spec.securityContext is not None and is_wrong(spec.securityContext.seLinuxOptions)
        names = [name for name, context in secured(spec) if is_wrong(context.seLinuxOptions)]
        if not wrong:
            return None
        types = sorted({options.type for options in wrong} - allowed)
        data = [f"{plural('type', 'types', len(types))} {quoted(types)}"] if types else []
        data += [f"{part} may not be set" for part in ("user", "role") if any(getattr(options, part) for options in wrong)]
        return Finding("seLinuxOptions", f"{setters(pod, names)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}")

    return check


def seccomp_annotations(meta: ObjectMeta, spec: PodSpec) -> Finding | None:
    keys = [_SECCOMP_POD, *(f"{_SECCOMP_CONTAINER}{container.name}" for container in containers(spec))]
    wrong = sorted(
        {
            f'{key}="{value}"'
            for key in keys
            if (value := meta.annotations.get(key)) is not None
            and value not in ("runtime/default", "docker/default")
            and not value.startswith("localhost/")
        }
    )
    if not wrong:
        return None
    return Finding("seccompProfile", f"forbidden {plural('annotation', 'annotations', len(wrong))} {', '.join(wrong)}")


def seccomp(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    wrong: set[str] = set()
    pod = spec.securityContext is not None and _wrong_type(spec.securityContext.seccompProfile, wrong)
    names = [name for name, context in secured(spec) if _wrong_type(context.seccompProfile, wrong)]
    if not wrong:
        return None
    return Finding("seccompProfile", f"{setters(pod, names)} must not set securityContext.seccompProfile.type to {quoted(sorted(wrong))}")


def _sysctls(allowed: frozenset[str]) -> Check:
    def check(_: ObjectMeta, spec: PodSpec) -> Finding | None:
        context = spec.securityContext
        wrong = [sysctl.name for sysctl in context.sysctls if sysctl.name not in allowed] if context is not None else []
        return Finding("forbidden sysctls", ", ".join(wrong)) if wrong else None

    return check


def windows_host_process(_: ObjectMeta, spec: PodSpec) -> Finding | None:
    context = spec.securityContext
    pod = context is not None and context.windowsOptions is not None and bool(context.windowsOptions.hostProcess)
    names = [name for name, own in secured(spec) if own.windowsOptions is not None and own.windowsOptions.hostProcess]
    if not pod and not names:
        return None
    return Finding("hostProcess", f"{setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true")


CHECKS: Final[dict[str, dict[int, Check]]] = {
    "appArmorProfile": {0: app_armor},
    "capabilities_baseline": {0: capabilities},
    "hostNamespaces": {0: host_namespaces},
    "hostPathVolumes": {0: host_paths},
    "hostPorts": {0: host_ports},
    "hostProbesAndHostLifecycle": {34: probe_hosts},
    "privileged": {0: privileged},
    "procMount": {0: proc_mount, 35: proc_mount_35},
    "seLinuxOptions": {0: _selinux(_SELINUX_TYPES), 31: _selinux(_SELINUX_TYPES_31)},
    "seccompProfile_baseline": {0: seccomp_annotations, 19: seccomp},
    "sysctls": {0: _sysctls(_SYSCTLS), 27: _sysctls(_SYSCTLS_27), 29: _sysctls(_SYSCTLS_29), 32: _sysctls(_SYSCTLS_32)},
    "windowsHostProcess": {0: windows_host_process},
}
"""Checks by name, in the order of their findings; of each, its forms by the minor version of Kubernetes that introduced them."""
