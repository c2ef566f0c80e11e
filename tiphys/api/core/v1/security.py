"""The core group, v1: security context of pods and containers."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, always


class AppArmorProfile(Struct):
    """The AppArmor profile that confines a container."""

    type: str = always(str)
    """`RuntimeDefault`, `Unconfined`, or `Localhost` for a profile loaded on the node."""
    localhostProfile: str | None = None
    """The name of the loaded profile; only with `Localhost`."""


class Capabilities(Struct):
    """Linux capabilities that differ from the runtime's default set."""

    add: Annotated[list[str], Atomic()] = []
    """Capabilities to grant, without the prefix CAP_."""
    drop: Annotated[list[str], Atomic()] = []
    """Capabilities to take away; `ALL` takes all."""


class SELinuxOptions(Struct):
    """The parts of an SELinux label."""

    user: str = ""
    """The user part."""
    role: str = ""
    """The role part."""
    type: str = ""
    """The type part."""
    level: str = ""
    """The level part."""


class SeccompProfile(Struct):
    """Profile of the system calls that a process may make."""

    type: str = always(str)
    """`RuntimeDefault`, `Unconfined`, or `Localhost` for a file on the node."""
    localhostProfile: str | None = None
    """The file below the kubelet's seccomp directory; only with `Localhost`."""


class WindowsSecurityContextOptions(Struct):
    """Settings that only Windows nodes use."""

    gmsaCredentialSpecName: str | None = None
    """The name of the GMSA credential spec."""
    gmsaCredentialSpec: str | None = None
    """The content of the GMSA credential spec, filled in by a webhook."""
    runAsUserName: str | None = None
    """The user that runs the process; by default the one in the image."""
    hostProcess: bool | None = None
    """True if the container runs as a process of the host; then all of the pod do."""


class SecurityContext(Struct):
    """Privileges of one container; they win over those of the pod."""

    capabilities: Capabilities | None = None
    """Capabilities added to or taken from the runtime's default."""
    privileged: bool | None = None
    """True if the processes have nearly all rights of root on the node. False by default."""
    seLinuxOptions: SELinuxOptions | None = None
    """The SELinux label of the container."""
    windowsOptions: WindowsSecurityContextOptions | None = None
    """Settings for Windows nodes."""
    runAsUser: int | None = None
    """The user id that runs the process; by default the one the image names."""
    runAsGroup: int | None = None
    """The primary group id of the process."""
    runAsNonRoot: bool | None = None
    """True if the container is refused when its user is 0."""
    readOnlyRootFilesystem: bool | None = None
    """True if the root file system is read-only. False by default."""
    allowPrivilegeEscalation: bool | None = None
    """True if a process can gain more rights than its parent, through set-uid programs for instance. Always true for privileged
    containers."""
    procMount: str | None = None
    """Masking of /proc: `Default` masks sensitive paths, `Unmasked` none (only with hostUsers false)."""
    seccompProfile: SeccompProfile | None = None
    """Profile of allowed system calls."""
    appArmorProfile: AppArmorProfile | None = None
    """The AppArmor profile."""
