"""Security settings of sandboxes and containers in the runtime's terms. Pure. See "Configure a Security Context"."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.api.core import v1 as core
from tiphys.node.container.env import ConfigError
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.pod.plan import AnyContainer

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def namespaces(pod: core.Pod, *, target_id: str = "") -> pb.NamespaceOption:
    """Choose which namespaces are the pod's, the container's own or the node's; `target_id`: whose process namespace to share.

    Raises ConfigError for a pod that is to have a user namespace: the runtimes that this kubelet drives cannot make one.
    """
    spec = pod.spec
    if spec.hostUsers is False:
        raise ConfigError("can't set `spec.hostUsers: false`, runtime does not support user namespaces")
    pid = pb.NODE if spec.hostPID else pb.POD if spec.shareProcessNamespace else pb.CONTAINER
    return pb.NamespaceOption(
        network=pb.NODE if spec.hostNetwork else pb.POD,
        pid=pb.TARGET if target_id else pid,
        ipc=pb.NODE if spec.hostIPC else pb.POD,
        target_id=target_id,
    )


def _seccomp(profile: core.SeccompProfile | None, root: str) -> pb.SecurityProfile:
    kinds = pb.SecurityProfile.ProfileType
    if profile is None or profile.type == "Unconfined":
        return pb.SecurityProfile(profile_type=kinds.Unconfined)
    if profile.type == "RuntimeDefault":
        return pb.SecurityProfile(profile_type=kinds.RuntimeDefault)
    if not profile.localhostProfile:
        raise ConfigError("localhostProfile must be set if seccompProfile type is Localhost.")
    return pb.SecurityProfile(profile_type=kinds.Localhost, localhost_ref=f"{root}/{profile.localhostProfile}")


def _groups_policy(context: core.PodSecurityContext) -> pb.SupplementalGroupsPolicy:
    return pb.Strict if context.supplementalGroupsPolicy == "Strict" else pb.Merge


def _apparmor(profile: core.AppArmorProfile | None) -> pb.SecurityProfile | None:
    if profile is None:
        return None
    kinds = pb.SecurityProfile.ProfileType
    known = {"Unconfined": kinds.Unconfined, "RuntimeDefault": kinds.RuntimeDefault, "Localhost": kinds.Localhost}
    return pb.SecurityProfile(profile_type=known[profile.type], localhost_ref=profile.localhostProfile or "")


def _groups(context: core.PodSecurityContext) -> list[int]:
    own = [context.fsGroup] if context.fsGroup is not None else []
    return [*own, *context.supplementalGroups]


def is_privileged(container: AnyContainer) -> bool:
    return bool(container.securityContext and container.securityContext.privileged)


def sandbox_security(pod: core.Pod, *, seccomp_root: str = "") -> pb.LinuxSandboxSecurityContext:
    """The security context of the sandbox: that of the pod, and privileged if any container is."""
    context = pod.spec.securityContext or core.PodSecurityContext()
    everyone = (*pod.spec.containers, *pod.spec.initContainers)
    result = pb.LinuxSandboxSecurityContext(
        namespace_options=namespaces(pod),
        privileged=any(is_privileged(container) for container in everyone),
        supplemental_groups=_groups(context),
        supplemental_groups_policy=_groups_policy(context),
        # The pause process itself: always under the runtime's default profile.
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.ProfileType.RuntimeDefault),
    )
    if context.seccompProfile is not None:
        result.seccomp.CopyFrom(_seccomp(context.seccompProfile, seccomp_root))
    if context.runAsUser is not None and not pod.spec.hostNetwork:
        result.run_as_user.value = context.runAsUser
    if context.runAsGroup is not None and context.runAsUser is not None:
        result.run_as_group.value = context.runAsGroup
    return result


def container_security(
    pod: core.Pod,
    container: AnyContainer,
    *,
    image_uid: int | None,
    image_user: str,
    seccomp_root: str = "",
    seccomp_default: bool = False,
    target_id: str = "",
    groups: Sequence[int] = (),
) -> pb.LinuxContainerSecurityContext:
    """The container's security context over the pod's; raises ConfigError where runAsNonRoot cannot be kept."""
    outer = pod.spec.securityContext or core.PodSecurityContext()
    own = container.securityContext or core.SecurityContext()
    user = own.runAsUser if own.runAsUser is not None else outer.runAsUser
    group = own.runAsGroup if own.runAsGroup is not None else outer.runAsGroup
    default = core.SeccompProfile(type="RuntimeDefault") if seccomp_default else None
    unmasked = own.procMount == "Unmasked"
    present = _groups(outer)
    result = pb.LinuxContainerSecurityContext(
        namespace_options=namespaces(pod, target_id=target_id),
        privileged=bool(own.privileged),
        readonly_rootfs=bool(own.readOnlyRootFilesystem),
        no_new_privs=own.allowPrivilegeEscalation is False,
        supplemental_groups=[*present, *(one for one in groups if one not in present)],
        supplemental_groups_policy=_groups_policy(outer),
        masked_paths=() if unmasked else MASKED_PATHS,
        readonly_paths=() if unmasked else READONLY_PATHS,
        seccomp=_seccomp(own.seccompProfile or outer.seccompProfile or default, seccomp_root),
        apparmor=_apparmor(own.appArmorProfile or outer.appArmorProfile),
    )
    if own.capabilities is not None:
        result.capabilities.CopyFrom(pb.Capability(add_capabilities=own.capabilities.add, drop_capabilities=own.capabilities.drop))
    labels = own.seLinuxOptions or outer.seLinuxOptions
    if labels is not None:
        result.selinux_options.CopyFrom(pb.SELinuxOption(user=labels.user, role=labels.role, type=labels.type, level=labels.level))
    _check_non_root(pod, container, own, outer, user, image_uid, image_user)
    if user is not None:
        result.run_as_user.value = user
    elif image_uid is not None:
        result.run_as_user.value = image_uid
    elif image_user:
        result.run_as_username = image_user
    elif group is not None:
        # An image that names no user runs as root, and the runtime takes no group without a user.
        result.run_as_user.value = 0
    if group is not None:
        result.run_as_group.value = group
    return result


def _check_non_root(
    pod: core.Pod,
    container: AnyContainer,
    own: core.SecurityContext,
    outer: core.PodSecurityContext,
    user: int | None,
    image_uid: int | None,
    image_user: str,
) -> None:
    demanded = own.runAsNonRoot if own.runAsNonRoot is not None else outer.runAsNonRoot
    if not demanded:
        return
    who = f'(pod: "{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})", container: {container.name})'
    if user is not None:
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {who}")
        return
    if image_uid == 0 or (image_uid is None and not image_user):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {who}")
    if image_uid is None:
        raise ConfigError(f"container has runAsNonRoot and image has non-numeric user ({image_user}), cannot verify user is non-root {who}")
