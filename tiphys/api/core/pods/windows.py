"""Validation of what only pods for Windows have.

See "Configure RunAsUserName for Windows pods and containers" and "Create a Windows HostProcess Pod". The values are checked whatever the
pod's operating system is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tiphys.api.core.v1 import Container, EphemeralContainer, PodSpec, SecurityContext, WindowsSecurityContextOptions
from tiphys.api.machinery.errors import forbidden, invalid
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.rules.basics import Errors

_MOST_SPEC_KIB: Final = 64
_MOST_DOMAIN: Final = 256
_MOST_USER: Final = 104
_LABEL: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_control = re.compile("[\x00-\x1f\x7f]").search
_net_bios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_dns_domain = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
_dots_and_spaces = re.compile("[. ]+").fullmatch
_bad_letters = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search

_NOT_IN_PODS: Final = (
    "securityContext.appArmorProfile", "securityContext.seLinuxOptions", "hostUsers", "hostPID", "hostIPC",
    "securityContext.seccompProfile", "securityContext.fsGroup", "securityContext.fsGroupChangePolicy", "securityContext.sysctls",
    "shareProcessNamespace", "securityContext.runAsUser", "securityContext.runAsGroup", "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy", "securityContext.seLinuxChangePolicy",
)  # fmt: skip

_NOT_IN_CONTAINERS: Final = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def options(errors: Errors, path: str, value: WindowsSecurityContextOptions) -> None:
    """The options of a container or of a pod."""
    if value.gmsaCredentialSpecName is not None:
        for message in dns_subdomain_messages(value.gmsaCredentialSpecName):
            errors.append(invalid(f"{path}.gmsaCredentialSpecName", value.gmsaCredentialSpecName, message))
    spec = value.gmsaCredentialSpec
    if spec == "":
        errors.append(invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string"))
    elif spec is not None and len(spec.encode()) > _MOST_SPEC_KIB << 10:
        errors.append(invalid(f"{path}.gmsaCredentialSpec", spec, f"gmsaCredentialSpec size must be under {_MOST_SPEC_KIB} KiB"))
    if value.runAsUserName is not None:
        for message in _user_name_messages(value.runAsUserName):
            errors.append(invalid(f"{path}.runAsUserName", value.runAsUserName, f"runAsUserName{message}"))


def _user_name_messages(text: str) -> Iterator[str]:
    """Return the mistakes in `DOMAIN\\user` or `user`."""
    if not text:
        yield " cannot be an empty string"
    elif _control(text):
        yield " cannot contain control characters"
    elif text.count("\\") > 1:
        yield " cannot contain more than one backslash"
    else:
        domain, backslash, user = text.rpartition("\\")
        if len(domain.encode()) >= _MOST_DOMAIN:
            yield f"'s Domain length must be under {_MOST_DOMAIN} characters"
        if backslash and not _net_bios(domain) and not _dns_domain(domain):
            yield "'s Domain doesn't match the NetBios nor the DNS format"
        if not user:
            yield "'s User cannot be empty"
        elif len(user.encode()) > _MOST_USER:
            yield f"'s User length must not be longer than {_MOST_USER} characters"
        if _dots_and_spaces(user):
            yield "'s User cannot contain only periods or spaces"
        if _bad_letters(user):
            yield "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def host_process(errors: Errors, path: str, spec: PodSpec) -> None:
    """All containers of a pod run as processes of the host, on its network, or none does."""
    context = spec.securityContext
    whole = context.windowsOptions.hostProcess if context is not None and context.windowsOptions is not None else None
    count = total = 0
    for here, item in containers(path, spec):
        total += 1
        single = item.securityContext
        own = single.windowsOptions.hostProcess if single is not None and single.windowsOptions is not None else None
        if whole is not None and own is not None and whole != own:
            message = f"pod hostProcess value must be identical if both are specified, was {str(whole).lower()}"
            errors.append(invalid(f"{here}.securityContext.windowsOptions.hostProcess", own, message))
        count += bool(whole if own is None else own)
    if not count:
        return
    if count != total:
        message = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        errors.append(invalid(path, "", message))
    if not spec.hostNetwork:
        message = "hostNetwork must be true if pod contains any hostProcess containers"
        errors.append(invalid(f"{path}.hostNetwork", False, message))


def containers(path: str, spec: PodSpec) -> Iterator[tuple[str, Container | EphemeralContainer]]:
    """All containers of a pod with their paths, in the order in which rules about all of them go through them."""
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for index, item in enumerate(getattr(spec, name)):
            yield f"{path}.{name}[{index}]", item


def only_of_linux(errors: Errors, path: str, spec: PodSpec) -> None:
    """A pod for Windows has nothing of Linux ("Windows compatibility": field compatibility)."""
    for name in _NOT_IN_PODS:
        field = name.removeprefix("securityContext.")
        value = getattr(spec if field == name else spec.securityContext, field, None)
        if value not in ((False, None) if field in ("hostPID", "hostIPC") else ([], None)):
            errors.append(forbidden(f"{path}.{name}", "cannot be set for a windows pod"))
    for here, item in containers(path, spec):
        context: SecurityContext | None = item.securityContext
        for name in _NOT_IN_CONTAINERS if context is not None else ():
            if getattr(context, name) is not None:
                errors.append(forbidden(f"{here}.securityContext.{name}", "cannot be set for a windows pod"))


def only_of_windows(errors: Errors, path: str, spec: PodSpec) -> None:
    """A pod for Linux has nothing of Windows."""
    message = "windows options cannot be set for a linux pod"
    if spec.securityContext is not None and spec.securityContext.windowsOptions is not None:
        errors.append(forbidden(f"{path}.securityContext.windowsOptions", message))
    for here, item in containers(path, spec):
        if item.securityContext is not None and item.securityContext.windowsOptions is not None:
            errors.append(forbidden(f"{here}.securityContext.windowsOptions", message))
