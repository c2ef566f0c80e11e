"""Validation of volumes and of the ways containers mount them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiphys.api.core.persistent_volume_claim import validate_claim_template
from tiphys.api.core.v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIVolumeFile,
    EphemeralContainer,
    HostPathVolumeSource,
    KeyToPath,
    ObjectFieldSelector,
    ProjectedVolumeSource,
    ResourceFieldSelector,
    SecretProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from tiphys.api.core.volumes.sources import POD_CHECKS, Required, required_fields
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_found_field, not_supported, required
from tiphys.api.machinery.names import dns_label_messages, dns_subdomain_messages, qualified_name
from tiphys.api.machinery.quantity import parse
from tiphys.api.rules.basics import Errors, dns_label, file_mode, label_name, local_path, no_backsteps, relative_path

HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")

VOLUME_FIELDS = frozenset({"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"})
"""Fields that a downward API volume may name."""

ENV_FIELDS = frozenset(
    {
        "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
        "status.hostIPs", "status.podIP", "status.podIPs",
    }
)  # fmt: skip
"""Fields that an environment variable may name, besides one label or annotation."""

_POD_FIELDS = VOLUME_FIELDS | ENV_FIELDS | {"spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}
_RESOURCES = tuple(f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory"))
_SIZE_DIVISORS = frozenset({"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"})
_SIZES = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"

_ORDER = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi", "glusterfs", "flocker",
    "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc", "flexVolume", "configMap", "azureFile",
    "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos", "projected", "scaleIO", "csi", "ephemeral",
    "image",
)  # fmt: skip
"""Sources in the order in which the API looks for them: the first is the volume's, the others are too many."""

_EXTRA_PATHS = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""Sources that are reported under another name when there is one before them."""

_REQUIRED: Required = {
    "gitRepo": ("repository",),
    "persistentVolumeClaim": ("claimName",),
    "secret": ("secretName",),
    "configMap": ("name",),
}


def volumes(errors: Errors, path: str, values: Sequence[Volume], *, pod: bool) -> dict[str, Volume]:
    """All volumes of a pod; returns the sound ones by name, for mounts to refer to."""
    sound: dict[str, Volume] = {}
    for index, volume in enumerate(values):
        here = f"{path}[{index}]"
        before = len(errors)
        _source(errors, here, volume, pod=pod)
        if not volume.name:
            errors.append(required(f"{here}.name"))
        elif dns_label_messages(volume.name):
            dns_label(errors, f"{here}.name", volume.name)
        if volume.name in sound:
            errors.append(duplicate(f"{here}.name", volume.name))
        if len(errors) == before:
            sound[volume.name] = volume
    return sound


def made_claims(errors: Errors, path: str, values: Sequence[Volume], owner: str) -> None:
    """The claims that are made for a pod are named after it: by a sound name, and by one that no other of its volumes claims."""
    names: set[str] = set()
    for volume in values:
        if volume.ephemeral is not None:
            names.add(f"{owner}-{volume.name}")
    for index, volume in enumerate(values) if names else ():
        here = f"{path}[{index}]"
        claim = volume.persistentVolumeClaim
        if volume.ephemeral is not None and volume.name:
            name = f"{owner}-{volume.name}"
            errors += [invalid(f"{here}.name", volume.name, f'PVC name "{name}": {message}') for message in dns_subdomain_messages(name)]
        if claim is not None and claim.claimName in names:
            message = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(invalid(f"{here}.persistentVolumeClaim.claimName", claim.claimName, message))


def _source(errors: Errors, path: str, volume: Volume, *, pod: bool) -> None:
    named = [name for name in _ORDER if getattr(volume, name) is not None]
    if not named:
        errors.append(required(path, "must specify a volume type"))
        return
    name = named[0]
    source = getattr(volume, name)
    here = required_fields(errors, path, name, source, _REQUIRED)
    if name in ("secret", "configMap"):
        file_mode(errors, f"{here}.defaultMode", source.defaultMode)
        _items(errors, f"{here}.items", source.items)
    elif name == "emptyDir":
        if source.sizeLimit is not None and parse(source.sizeLimit) < 0:
            errors.append(forbidden(f"{here}.sizeLimit", "SizeLimit field must be a valid resource quantity"))
    elif name == "hostPath":
        _host_path(errors, here, source)
    elif name == "projected":
        _projected(errors, here, source)
    elif name == "downwardAPI":
        file_mode(errors, f"{here}.defaultMode", source.defaultMode)
        for file in source.items:
            _downward_file(errors, here, file)
    elif name in POD_CHECKS:
        POD_CHECKS[name](errors, here, source)
    elif name == "image":
        if pod and not source.reference:
            errors.append(required(f"{here}.reference"))
        if source.pullPolicy not in ("Always", "IfNotPresent", "Never"):
            errors.append(not_supported(f"{here}.pullPolicy", source.pullPolicy, ("Always", "IfNotPresent", "Never")))
    elif name == "ephemeral":
        if source.volumeClaimTemplate is None:
            errors.append(required(f"{here}.volumeClaimTemplate"))
        else:
            validate_claim_template(errors, f"{here}.volumeClaimTemplate", source.volumeClaimTemplate)
    for extra in named[1:]:
        errors.append(forbidden(f"{path}.{_EXTRA_PATHS.get(extra, extra)}", "may not specify more than 1 volume type"))
    if volume.iscsi is not None and volume.iscsi.initiatorName is not None and len(f"{volume.name}:{volume.iscsi.targetPortal}") > 64:
        message = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
        errors.append(invalid(f"{path}.name", volume.name, message))


def _host_path(errors: Errors, path: str, source: HostPathVolumeSource) -> None:
    if not source.path:
        errors.append(required(f"{path}.path"))
    else:
        no_backsteps(errors, f"{path}.path", source.path)
        if source.type is not None and source.type not in HOST_PATH_TYPES:
            errors.append(not_supported(f"{path}.type", source.type, HOST_PATH_TYPES))


def _items(errors: Errors, path: str, items: Sequence[KeyToPath]) -> None:
    for index, item in enumerate(items):
        here = f"{path}[{index}]"
        if not item.key:
            errors.append(required(f"{here}.key"))
        if not item.path:
            errors.append(required(f"{here}.path"))
        local_path(errors, f"{here}.path", item.path)
        file_mode(errors, f"{here}.mode", item.mode)


def _downward_file(errors: Errors, path: str, file: DownwardAPIVolumeFile) -> None:
    if not file.path:
        errors.append(required(f"{path}.path"))
    local_path(errors, f"{path}.path", file.path)
    if file.fieldRef is not None:
        field_ref(errors, f"{path}.fieldRef", file.fieldRef, VOLUME_FIELDS)
        if file.resourceFieldRef is not None:
            errors.append(invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif file.resourceFieldRef is not None:
        resource_ref(errors, f"{path}.resourceFieldRef", file.resourceFieldRef, named=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    file_mode(errors, f"{path}.mode", file.mode)


def _projected(errors: Errors, path: str, source: ProjectedVolumeSource) -> None:
    file_mode(errors, f"{path}.defaultMode", source.defaultMode)
    paths: set[str] = set()
    for index, projection in enumerate(source.sources):
        _projection(errors, path, f"{path}.sources[{index}]", projection, paths)


def _projection(errors: Errors, volume: str, path: str, projection: VolumeProjection, paths: set[str]) -> None:
    named = 0
    for name in ("secret", "configMap"):
        source: SecretProjection | ConfigMapProjection | None = getattr(projection, name)
        if source is not None:
            named += 1
            if not source.name:
                errors.append(required(f"{path}.{name}.name"))
            _items(errors, f"{path}.{name}.items", source.items)
            for item in source.items:
                _distinct(errors, volume, item.path, source.name, paths)
    if projection.downwardAPI is not None:
        named += 1
        for file in projection.downwardAPI.items:
            _downward_file(errors, f"{path}.downwardAPI", file)
            _distinct(errors, volume, file.path, file.path, paths)
    if projection.serviceAccountToken is not None:
        named += 1
        token, here = projection.serviceAccountToken, f"{path}.serviceAccountToken.expirationSeconds"
        seconds = token.expirationSeconds or 0
        if seconds < 600:
            errors.append(invalid(here, seconds, "may not specify a duration less than 10 minutes"))
        if seconds > 1 << 32:
            errors.append(invalid(here, seconds, "may not specify a duration larger than 2^32 seconds"))
        if not token.path:
            errors.append(required(f"{volume}.path"))
        else:
            local_path(errors, f"{volume}.path", token.path)
    named += (projection.clusterTrustBundle is not None) + (projection.podCertificate is not None)
    if named > 1:
        errors.append(forbidden(path, "may not specify more than 1 volume type per source"))


def _distinct(errors: Errors, volume: str, path: str, value: str, paths: set[str]) -> None:
    if path and path in paths:
        errors.append(invalid(volume, value, "conflicting duplicate paths"))
    paths.add(path)


def field_ref(errors: Errors, path: str, ref: ObjectFieldSelector, known: frozenset[str]) -> None:
    """A field of the pod, or one label or annotation: `metadata.labels['app']`."""
    if not ref.apiVersion:
        errors.append(required(f"{path}.apiVersion"))
        return
    if not ref.fieldPath:
        errors.append(required(f"{path}.fieldPath"))
        return
    field, bracket, rest = ref.fieldPath.partition("['")
    message = ""
    if ref.apiVersion != "v1":
        message = f"unsupported pod version: {ref.apiVersion}"
    elif bracket and rest.endswith("']"):
        if field not in ("metadata.labels", "metadata.annotations"):
            message = f"field label does not support subscript: {ref.fieldPath}"
    elif ref.fieldPath not in _POD_FIELDS:
        message = f"field label not supported: {ref.fieldPath}"
    if message:
        errors.append(invalid(f"{path}.fieldPath", ref.fieldPath, f"error converting fieldPath: {message}"))
    elif bracket:
        key = rest[:-2].lower() if field == "metadata.annotations" else rest[:-2]
        if qualified_name(key):
            label_name(errors, path, key)
    else:
        # The old name of the field is read, and reported, as the present one.
        name = "spec.nodeName" if ref.fieldPath == "spec.host" else ref.fieldPath
        if name not in known:
            errors.append(not_supported(f"{path}.fieldPath", name, sorted(known)))


def resource_ref(errors: Errors, path: str, ref: ResourceFieldSelector, *, named: bool) -> None:
    """A limit or a request of a container, which volumes have to name."""
    if named and not ref.containerName:
        errors.append(required(f"{path}.containerName"))
    elif not ref.resource:
        errors.append(required(f"{path}.resource"))
    elif ref.resource not in _RESOURCES and not ref.resource.startswith(("requests.hugepages-", "limits.hugepages-")):
        errors.append(not_supported(f"{path}.resource", ref.resource, _RESOURCES))
    divisor = ref.divisor
    if not divisor or divisor == "0":
        return
    name = ref.resource.partition(".")[2]
    if name == "cpu":
        if divisor not in ("1", "1m"):
            message = "only divisor's values 1m and 1 are supported with the cpu resource"
            errors.append(invalid(f"{path}.divisor", ref.resource, message))
    elif divisor not in _SIZE_DIVISORS:
        kind = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(name, "hugepages")
        errors.append(invalid(f"{path}.divisor", ref.resource, f"only divisor's values {_SIZES} are supported with the {kind} resource"))


def mounts(errors: Errors, path: str, container: Container | EphemeralContainer, known: Mapping[str, Volume]) -> None:
    """The places where a container mounts volumes, each at a path of its own."""
    devices = {device.name: device.devicePath for device in container.volumeDevices}
    seen: set[str] = set()
    for index, mount in enumerate(container.volumeMounts):
        if mount.name in known and mount.mountPath and mount.mountPath not in seen and not devices and not _special(mount):
            seen.add(mount.mountPath)
            continue
        here = f"{path}[{index}]"
        if not mount.name:
            errors.append(required(f"{here}.name"))
        if mount.name not in known:
            errors.append(not_found_field(f"{here}.name", mount.name))
        if not mount.mountPath:
            errors.append(required(f"{here}.mountPath"))
        if mount.mountPath in seen:
            errors.append(invalid(f"{here}.mountPath", mount.mountPath, "must be unique"))
        seen.add(mount.mountPath)
        if mount.name in devices:
            errors.append(invalid(f"{here}.name", mount.name, "must not already exist in volumeDevices"))
        if mount.mountPath in devices.values():
            errors.append(invalid(f"{here}.mountPath", mount.mountPath, "must not already exist as a path in volumeDevices"))
        _mount_details(errors, path, here, mount, container)


def _special(mount: VolumeMount) -> bool:
    return bool(mount.subPath or mount.subPathExpr) or mount.mountPropagation is not None or mount.recursiveReadOnly is not None


def _mount_details(errors: Errors, path: str, here: str, mount: VolumeMount, container: Container | EphemeralContainer) -> None:
    if mount.subPath:
        relative_path(errors, f"{path}.subPath", mount.subPath)
    if mount.subPathExpr:
        if mount.subPath:
            errors.append(invalid(f"{here}.subPathExpr", mount.subPathExpr, "subPathExpr and subPath are mutually exclusive"))
        relative_path(errors, f"{path}.subPathExpr", mount.subPathExpr)
    if mount.mountPropagation is not None:
        if mount.mountPropagation not in _PROPAGATIONS:
            errors.append(not_supported(f"{path}.mountPropagation", mount.mountPropagation, _PROPAGATIONS))
        privileged = container.securityContext is not None and container.securityContext.privileged
        if mount.mountPropagation == "Bidirectional" and not privileged:
            message = "Bidirectional mount propagation is available only to privileged containers"
            errors.append(forbidden(f"{path}.mountPropagation", message))
    if mount.recursiveReadOnly is not None:
        if mount.recursiveReadOnly not in _RECURSIVE:
            errors.append(not_supported(f"{path}.recursiveReadOnly", mount.recursiveReadOnly, _RECURSIVE))
        elif mount.recursiveReadOnly != "Disabled":
            if not mount.readOnly:
                errors.append(forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true"))
            if mount.mountPropagation not in (None, "None"):
                message = "may only be specified when mountPropagation is None or not specified"
                errors.append(forbidden(f"{path}.recursiveReadOnly", message))


def devices(errors: Errors, path: str, container: Container | EphemeralContainer, known: Mapping[str, Volume]) -> None:
    """Block devices of a container, which come from claims."""
    names: set[str] = set()
    paths: set[str] = set()
    mounts = {mount.name: mount.mountPath for mount in container.volumeMounts}
    for index, device in enumerate(container.volumeDevices):
        here = f"{path}[{index}]"
        volume = known.get(device.name)
        if not device.name:
            errors.append(required(f"{here}.name"))
        elif device.name in names:
            errors.append(invalid(f"{here}.name", device.name, "must be unique"))
        if volume is None:
            errors.append(not_found_field(f"{here}.name", device.name))
        elif volume.persistentVolumeClaim is None and volume.ephemeral is None:
            message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(invalid(f"{here}.name", device.name, message))
        if not device.devicePath:
            errors.append(required(f"{here}.devicePath"))
        if device.devicePath in paths:
            errors.append(invalid(f"{here}.devicePath", device.devicePath, "must be unique"))
        if ".." in device.devicePath.split("/"):
            errors.append(invalid(f"{here}.devicePath", device.devicePath, "can not contain backsteps ('..')"))
        else:
            paths.add(device.devicePath)
        if device.name in mounts:
            errors.append(invalid(f"{here}.name", device.name, "must not already exist in volumeMounts"))
        if device.devicePath in mounts.values():
            errors.append(invalid(f"{here}.devicePath", device.devicePath, "must not already exist as a path in volumeMounts"))
        names.add(device.name)
