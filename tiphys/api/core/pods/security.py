"""Validation of security contexts."""

from __future__ import annotations

import re

from tiphys.api.core.internal import internal
from tiphys.api.core.pods.windows import containers, options
from tiphys.api.core.v1 import AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_long
from tiphys.api.rules.basics import Errors, identifier, relative_path

_SECCOMP = ("Localhost", "RuntimeDefault", "Unconfined")
_PATH_MAX = 4095
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = f"({_SYSCTL_SEGMENT}[\\./])*{_SYSCTL_SEGMENT}"
_sysctl = re.compile(_SYSCTL).fullmatch


def container(errors: Errors, path: str, context: SecurityContext, *, host_users: bool) -> None:
    """The security context of a container."""
    identifier(errors, f"{path}.runAsUser", context.runAsUser)
    identifier(errors, f"{path}.runAsGroup", context.runAsGroup)
    if context.procMount is not None:
        if context.procMount not in ("Default", "Unmasked"):
            errors.append(not_supported(f"{path}.procMount", context.procMount, ("Default", "Unmasked")))
        elif context.procMount == "Unmasked" and host_users:
            errors.append(invalid(f"{path}.procMount", context.procMount, "`hostUsers` must be false to use `Unmasked`"))
    _seccomp(errors, f"{path}.seccompProfile", context.seccompProfile)
    if context.allowPrivilegeEscalation is False:
        if context.privileged:
            message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, internal(context), message))
        if context.capabilities is not None and "CAP_SYS_ADMIN" in context.capabilities.add:
            message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(invalid(path, internal(context), message))
    if context.windowsOptions is not None:
        options(errors, f"{path}.windowsOptions", context.windowsOptions)
    _app_armor(errors, f"{path}.appArmorProfile", context.appArmorProfile)


def pod(errors: Errors, path: str, context: PodSecurityContext, spec: PodSpec) -> None:
    """The security context of a pod."""
    identifier(errors, f"{path}.fsGroup", context.fsGroup)
    identifier(errors, f"{path}.runAsUser", context.runAsUser)
    identifier(errors, f"{path}.runAsGroup", context.runAsGroup)
    for index, group in enumerate(context.supplementalGroups):
        identifier(errors, f"{path}.supplementalGroups[{index}]", group)
    if spec.shareProcessNamespace and spec.hostPID:
        message = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{path}.shareProcessNamespace", True, message))
    if context.sysctls:
        _sysctls(errors, f"{path}.sysctls", context, spec)
    if context.fsGroupChangePolicy is not None and context.fsGroupChangePolicy not in ("Always", "OnRootMismatch"):
        errors.append(not_supported(f"{path}.fsGroupChangePolicy", context.fsGroupChangePolicy, ("Always", "OnRootMismatch")))
    _seccomp(errors, f"{path}.seccompProfile", context.seccompProfile)
    if context.windowsOptions is not None:
        options(errors, f"{path}.windowsOptions", context.windowsOptions)
    _app_armor(errors, f"{path}.appArmorProfile", context.appArmorProfile)
    if context.supplementalGroupsPolicy is not None and context.supplementalGroupsPolicy not in ("Merge", "Strict"):
        errors.append(not_supported(f"{path}.supplementalGroupsPolicy", context.supplementalGroupsPolicy, ("Merge", "Strict")))
    if context.seLinuxChangePolicy is not None and context.seLinuxChangePolicy not in ("MountOption", "Recursive"):
        errors.append(not_supported(f"{path}.seLinuxChangePolicy", context.seLinuxChangePolicy, ("Recursive",)))


def _sysctls(errors: Errors, path: str, context: PodSecurityContext, spec: PodSpec) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(context.sysctls):
        here = f"{path}[{index}].name"
        if not sysctl.name:
            errors.append(required(here))
        elif len(sysctl.name) > 253 or not _sysctl(sysctl.name):
            errors.append(invalid(here, sysctl.name, f"must have at most 253 characters and match regex ^{_SYSCTL}$"))
        elif sysctl.name in seen:
            errors.append(duplicate(here, sysctl.name))
        seen.add(sysctl.name)
        dotted = sysctl.name.replace("/", ".")
        if spec.hostNetwork and dotted.startswith("net."):
            errors.append(invalid(here, sysctl.name, "may not be specified when 'hostNetwork' is true"))
        if spec.hostIPC and (dotted.startswith(("kernel.shm", "kernel.msg", "fs.mqueue.")) or dotted == "kernel.sem"):
            errors.append(invalid(here, sysctl.name, "may not be specified when 'hostIPC' is true"))


def _seccomp(errors: Errors, path: str, profile: SeccompProfile | None) -> None:
    if profile is None:
        return
    if not profile.type:
        errors.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif profile.type not in _SECCOMP:
        errors.append(not_supported(f"{path}.type", profile.type, _SECCOMP))
    if profile.type == "Localhost":
        if profile.localhostProfile is None:
            errors.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            relative_path(errors, f"{path}.localhostProfile", profile.localhostProfile)
    elif profile.localhostProfile is not None:
        errors.append(invalid(f"{path}.localhostProfile", internal(profile), "can only be set when seccomp type is Localhost"))


def _app_armor(errors: Errors, path: str, profile: AppArmorProfile | None) -> None:
    if profile is None:
        return
    here, name = f"{path}.localhostProfile", profile.localhostProfile
    if profile.type == "Localhost":
        if name is not None and name != name.strip():
            errors.append(invalid(here, name, "must not be padded with whitespace"))
        elif not name:
            errors.append(required(here, "must be set when AppArmor type is Localhost"))
        if name is not None and len(name.encode()) > _PATH_MAX:
            errors.append(too_long(here, _PATH_MAX))
    elif profile.type in _SECCOMP:
        if name is not None:
            errors.append(invalid(here, name, "can only be set when AppArmor type is Localhost"))
    elif profile.type:
        errors.append(not_supported(f"{path}.type", profile.type, _SECCOMP))
    else:
        errors.append(required(f"{path}.type", "type is required when appArmorProfile is set"))


def host_users(errors: Errors, path: str, spec: PodSpec) -> None:
    """A pod with users of its own shares no other namespace with the host ("User Namespaces")."""
    if spec.hostUsers is not False:
        return
    for name, shared in (("hostNetwork", spec.hostNetwork), ("HostPID", spec.hostPID), ("HostIPC", spec.hostIPC)):
        if shared:
            errors.append(forbidden(f"{path}.{name}", "when `hostUsers` is false"))
    for here, item in containers(path, spec):
        if item.volumeDevices:
            errors.append(forbidden(f"{here}.volumeDevices", "when `hostUsers` is false"))
