"""A pod and a container in the words of the Container Runtime Interface. Pure: what had to be looked up comes as `Inputs`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers import resources
from tiphys.node import names
from tiphys.node.container.dns_config import Resolver, hostname
from tiphys.node.container.env import ConfigError, expand
from tiphys.node.container.memory import MemoryRules, unified
from tiphys.node.container.security import container_security, sandbox_security
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.host import cgroups, huge_pages
from tiphys.node.host.cpuset import format_cpus
from tiphys.node.pod.plan import AnyContainer, Start
from tiphys.node.resources.assigner import Grant

_PROPAGATION = {
    None: pb.PROPAGATION_PRIVATE,
    "": pb.PROPAGATION_PRIVATE,
    "None": pb.PROPAGATION_PRIVATE,
    "HostToContainer": pb.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": pb.PROPAGATION_BIDIRECTIONAL,
}
_NO_RULES = MemoryRules()
_NOTHING = Grant()
_PROTOCOLS = {"": pb.TCP, "TCP": pb.TCP, "UDP": pb.UDP, "SCTP": pb.SCTP}


class Inputs(msgspec.Struct, frozen=True):
    """Facts beyond the pod that a container's configuration needs."""

    image_ref: str
    env: Mapping[str, str]
    image_uid: int | None = None
    image_user: str = ""
    mount_paths: Sequence[str | None] = ()
    """For each of the container's volumeMounts its path on the host, sub-path included; None leaves the mount out."""
    hosts_path: str = ""
    """The file to show as /etc/hosts, or ""."""
    message_path: str = ""
    """The file to show at the container's terminationMessagePath, or ""."""
    memory: MemoryRules = _NO_RULES
    seccomp_root: str = ""
    target_id: str = ""
    groups: Sequence[int] = ()
    """Groups that the container gets besides those of its pod, because of its volumes."""
    devices: Sequence[tuple[str, str, str]] = ()
    """Device files of volumes: path on the host, path inside, permissions."""
    grant: Grant = _NOTHING
    """Parts of the machine that were assigned to the container."""
    recursive_read_only: bool = False
    """True if the runtime can make mounts read-only all the way down."""
    seccomp_default: bool = False
    """True if containers without a profile get the runtime's."""


def spec_hash(container: AnyContainer) -> str:
    """Changes when a running container must be replaced by a new one. Of a container's fields only the image can change that way."""
    return hashlib.sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:16]


def hashes(pod: core.Pod) -> dict[str, str]:
    """The spec hash of every container that is kept running, by name."""
    return {container.name: spec_hash(container) for container in (*pod.spec.containers, *pod.spec.initContainers)}


def pod_labels(pod: core.Pod) -> dict[str, str]:
    """The labels by which a pod's sandboxes and containers are found again."""
    return {names.POD_NAME: pod.metadata.name, names.POD_NAMESPACE: pod.metadata.namespace, names.POD_UID: pod.metadata.uid}


def log_directory(root: str, pod: core.Pod) -> str:
    """Return the directory of the logs of the pod's containers: `<root>/<namespace>_<name>_<uid>`."""
    return f"{root}/{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}"


def sandbox_config(
    pod: core.Pod, attempt: int, *, resolver: Resolver, domain: str, log_root: str, cgroup_parent: str, seccomp_root: str = ""
) -> pb.PodSandboxConfig:
    """The sandbox of a pod."""
    name, zone = hostname(pod, domain)
    if pod.spec.setHostnameAsFQDN and zone:
        name = f"{name}.{zone}"
        if len(name) > 64:
            raise ConfigError(f"FQDN {name} is too long: 64 characters is the maximum")
    ports = [
        pb.PortMapping(protocol=_PROTOCOLS[port.protocol], container_port=port.containerPort, host_port=port.hostPort, host_ip=port.hostIP)
        for container in (*pod.spec.containers, *pod.spec.initContainers)
        for port in container.ports
        if port.hostPort and not pod.spec.hostNetwork
    ]
    context = pod.spec.securityContext or core.PodSecurityContext()
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid, attempt=attempt),
        # On the host's network the host's name shows; containerd takes an empty one for that.
        hostname="" if pod.spec.hostNetwork else name,
        log_directory=log_directory(log_root, pod),
        dns_config=pb.DNSConfig(servers=resolver.servers, searches=resolver.searches, options=resolver.options),
        port_mappings=ports,
        labels={**pod.metadata.labels, **pod_labels(pod)},
        annotations=dict(pod.metadata.annotations),
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent,
            security_context=sandbox_security(pod, seccomp_root=seccomp_root),
            sysctls={sysctl.name: sysctl.value for sysctl in context.sysctls},
            overhead=_overhead(pod) if pod.spec.overhead else None,
        ),
    )


def _overhead(pod: core.Pod) -> pb.LinuxContainerResources:
    """Resources of the sandbox itself, which runtimes that start virtual machines want to know ("Pod Overhead")."""
    amounts = resources.amounts(pod.spec.overhead)
    cpu = amounts.get("cpu", 0)
    return pb.LinuxContainerResources(
        cpu_period=cgroups.PERIOD if cpu else 0,
        cpu_quota=(cgroups.quota(cpu) or 0) if cpu else 0,
        cpu_shares=cgroups.shares(cpu) if cpu else 0,
        memory_limit_in_bytes=amounts.get("memory", 0),
    )


def container_config(pod: core.Pod, container: AnyContainer, start: Start, inputs: Inputs) -> pb.ContainerConfig:
    """A container of a pod; raises ConfigError when it cannot be configured as asked."""
    grant = inputs.grant
    # What the pod says about a variable counts more than what a device says.
    env = {**grant.env, **inputs.env}
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=container.name, attempt=start.attempt),
        image=pb.ImageSpec(image=inputs.image_ref),
        command=[expand(word, env) for word in container.command],
        args=[expand(word, env) for word in container.args],
        working_dir=container.workingDir,
        envs=[pb.KeyValue(key=key, value=value.encode("utf-8", "surrogateescape")) for key, value in env.items()],
        mounts=_mounts(pod, container, inputs),
        devices=[
            pb.Device(host_path=host, container_path=inside, permissions=mode) for host, inside, mode in (*inputs.devices, *grant.devices)
        ],
        CDI_devices=[pb.CDIDevice(name=name) for name in grant.cdi_devices],
        labels={**pod_labels(pod), names.CONTAINER_NAME: container.name},
        annotations={**grant.annotations, **_annotations(pod, container, start)},
        log_path=f"{container.name}/{start.attempt}.log",
        stdin=container.stdin,
        stdin_once=container.stdinOnce,
        tty=container.tty,
        linux=pb.LinuxContainerConfig(
            resources=linux_resources(pod, container, memory=inputs.memory, grant=grant),
            security_context=container_security(
                pod,
                container,
                image_uid=inputs.image_uid,
                image_user=inputs.image_user,
                seccomp_root=inputs.seccomp_root,
                seccomp_default=inputs.seccomp_default,
                target_id=inputs.target_id,
                groups=inputs.groups,
            ),
        ),
    )


def _annotations(pod: core.Pod, container: AnyContainer, start: Start) -> dict[str, str]:
    grace = pod.spec.terminationGracePeriodSeconds
    return {
        names.CONTAINER_HASH: spec_hash(container),
        names.RESTART_COUNT: str(start.attempt),
        names.MESSAGE_PATH: container.terminationMessagePath or names.DEFAULT_MESSAGE_PATH,
        names.MESSAGE_POLICY: container.terminationMessagePolicy or "File",
        names.GRACE_PERIOD: str(names.DEFAULT_GRACE if grace is None else grace),
        names.CONTAINER_KIND: start.kind,
    }


def linux_resources(
    pod: core.Pod, container: AnyContainer, *, memory: MemoryRules = _NO_RULES, grant: Grant = _NOTHING
) -> pb.LinuxContainerResources:
    """CPU shares and quota, the memory limit, the out-of-memory score, huge pages, CPUs and NUMA nodes; empty ones do not change."""
    limits, pages = cgroups.container_limits(container), huge_pages.limits(container.resources.limits)
    return pb.LinuxContainerResources(
        cpu_period=cgroups.PERIOD,
        cpu_quota=-1 if grant.unlimited_cpu else limits.cpu_quota or 0,
        cpu_shares=limits.cpu_shares,
        memory_limit_in_bytes=limits.memory or 0,
        oom_score_adj=cgroups.oom_score_adj(pod, container, memory.capacity),
        unified=unified(pod, container, memory),
        hugepage_limits=[pb.HugepageLimit(page_size=size, limit=limit) for size, limit in pages.items()],
        cpuset_cpus=format_cpus(grant.cpus),
        cpuset_mems=format_cpus(grant.memory_nodes),
    )


def _mounts(pod: core.Pod, container: AnyContainer, inputs: Inputs) -> list[pb.Mount]:
    mounts: list[pb.Mount] = []
    for mount, path in zip(container.volumeMounts, inputs.mount_paths, strict=True):
        if path is None:
            continue
        volume = next((one for one in pod.spec.volumes if one.name == mount.name), None)
        readonly = mount.readOnly or (volume is not None and forced_readonly(volume))
        if volume is not None and volume.image is not None:
            # Its file system is read-only in itself; a runtime that makes a mount read-only drops the flag that forbids execution.
            readonly = False
        mounts.append(
            pb.Mount(
                host_path=path,
                container_path=mount.mountPath if mount.mountPath.startswith("/") else f"/{mount.mountPath}",
                readonly=readonly,
                recursive_read_only=_is_recursive(mount, supported=inputs.recursive_read_only) and readonly,
                propagation=_PROPAGATION[mount.mountPropagation],
            )
        )
    taken = {mount.container_path for mount in mounts}
    if inputs.hosts_path and "/etc/hosts" not in taken:
        readonly = bool(container.securityContext and container.securityContext.readOnlyRootFilesystem)
        mounts.append(pb.Mount(host_path=inputs.hosts_path, container_path="/etc/hosts", readonly=readonly))
    for one in inputs.grant.mounts:
        if one.container_path not in taken:
            mounts.append(pb.Mount(host_path=one.host_path, container_path=one.container_path, readonly=one.read_only))
    message = container.terminationMessagePath or names.DEFAULT_MESSAGE_PATH
    if inputs.message_path and message not in taken:
        mounts.append(pb.Mount(host_path=inputs.message_path, container_path=message))
    return mounts


def _is_recursive(mount: core.VolumeMount, *, supported: bool) -> bool:
    """Return whether mounts below a mount are to be read-only, too. Raises ConfigError if that is required and impossible."""
    if mount.recursiveReadOnly == "Enabled" and not supported:
        why = f'volume "{mount.name}" requested recursive read-only mode, but it is not supported by the runtime'
        raise ConfigError(f"failed to resolve recursive read-only mode: {why}")
    return supported and mount.recursiveReadOnly in ("Enabled", "IfPossible")


def forced_readonly(volume: core.Volume) -> bool:
    """Volumes whose content the node writes are never writable from inside, nor are those that the pod wants read-only."""
    sources = (volume.configMap, volume.secret, volume.downwardAPI, volume.projected)
    return any(source is not None for source in sources) or is_read_only(volume)


def is_read_only(volume: core.Volume) -> bool:
    """Return whether the pod wants a persistent volume read-only, whatever its containers say."""
    sources = (volume.persistentVolumeClaim, volume.csi, volume.nfs)
    return any(source is not None and bool(source.readOnly) for source in sources)


def devices(pod: core.Pod, container: AnyContainer, paths: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Return the devices that a container gets for its `volumeDevices`. Raises ConfigError for a volume without a device."""
    result = []
    for device in container.volumeDevices:
        volume = next((one for one in pod.spec.volumes if one.name == device.name), None)
        if volume is None or device.name not in paths:
            raise ConfigError(f'volume "{device.name}" is not mapped')
        result.append((str(paths[device.name]), device.devicePath, "r" if is_read_only(volume) else "mrw"))
    return result
