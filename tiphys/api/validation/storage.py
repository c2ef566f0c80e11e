"""Validation of storage classes, attachments, CSI drivers and what they report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tiphys.api.core.v1 import TopologySelectorTerm
from tiphys.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required, too_long
from tiphys.api.machinery.names import dns_subdomain_messages, qualified_name_messages
from tiphys.api.machinery.quantity import parse
from tiphys.api.rules.basics import Errors, dns_subdomain, immutable, label_name, label_selector, non_negative, text
from tiphys.api.storage.v1 import (
    CSIDriver,
    CSINode,
    CSINodeDriver,
    CSIStorageCapacity,
    StorageClass,
    VolumeAttachment,
    VolumeAttachmentSource,
    VolumeAttributesClass,
    VolumeError,
)
from tiphys.api.validation.persistent_volume import volume_spec
from tiphys.api.validation.volume_sources import driver_name

_MAX_PARAMETERS, _MAX_SIZE = 512, 256 * 1024
_MAX_MESSAGE, _MAX_NODE_ID = 1024, 256
_MIN_TOKEN_SECONDS, _MIN_UPDATE_SECONDS = 600, 10
_FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_BINDING_MODES = ("Immediate", "WaitForFirstConsumer")


def _size(values: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in values.items())


def _provisioner(errors: Errors, path: str, name: str) -> None:
    """Who makes volumes: a name such as a label key, in any case of letters."""
    if not name:
        errors.append(required(path))
    else:
        text(errors, path, name.lower(), qualified_name_messages(name.lower()))


def _parameters(errors: Errors, path: str, values: Mapping[str, str]) -> None:
    if len(values) > _MAX_PARAMETERS:
        errors.append(too_long(path, _MAX_PARAMETERS))
        return
    if "" in values:
        errors.append(invalid(path, "", "field can not be empty."))
    if _size(values) > _MAX_SIZE:
        errors.append(too_long(path, _MAX_SIZE))


# ---- classes ---------------------------------------------------------------------------------------------------------------------------


def validate_class(value: StorageClass) -> Errors:
    errors: Errors = []
    _provisioner(errors, "provisioner", value.provisioner)
    _parameters(errors, "parameters", value.parameters)
    if value.reclaimPolicy and value.reclaimPolicy not in ("Delete", "Retain"):
        errors.append(not_supported("reclaimPolicy", value.reclaimPolicy, ("Delete", "Retain")))
    if value.volumeBindingMode is None:
        errors.append(required("volumeBindingMode"))
    elif value.volumeBindingMode not in _BINDING_MODES:
        errors.append(not_supported("volumeBindingMode", value.volumeBindingMode, _BINDING_MODES))
    _topologies(errors, "allowedTopologies", value.allowedTopologies)
    return errors


def validate_class_update(new: StorageClass, old: StorageClass) -> Errors:
    errors: Errors = []
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        immutable(errors, name, getattr(new, name), getattr(old, name))
    return errors


def _topologies(errors: Errors, path: str, terms: Sequence[TopologySelectorTerm]) -> None:
    """Places that do not repeat each other."""
    seen: list[dict[str, set[str]]] = []
    for index, term in enumerate(terms):
        here = f"{path}[{index}].matchLabelExpressions"
        places: dict[str, set[str]] = {}
        for number, requirement in enumerate(term.matchLabelExpressions):
            item = f"{here}[{number}]"
            if not requirement.values:
                errors.append(required(f"{item}.values"))
            values: set[str] = set()
            for position, value in enumerate(requirement.values):
                if value in values:
                    errors.append(duplicate(f"{item}.values[{position}]", value))
                values.add(value)
            label_name(errors, f"{item}.key", requirement.key)
            if requirement.key in places:
                errors.append(duplicate(f"{item}.key", requirement.key))
            places[requirement.key] = values
        if places in seen:
            errors.append(duplicate(here, ""))
        seen.append(places)


def validate_attributes_class(value: VolumeAttributesClass) -> Errors:
    errors: Errors = []
    _provisioner(errors, "driverName", value.driverName)
    _parameters(errors, "parameters", value.parameters)
    if not value.parameters:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    return errors


def validate_attributes_class_update(new: VolumeAttributesClass, old: VolumeAttributesClass) -> Errors:
    errors: Errors = []
    for name in ("driverName", "parameters"):
        if getattr(new, name) != getattr(old, name):
            errors.append(forbidden(name, f"updates to {name} are forbidden."))
    return errors


# ---- attachments -----------------------------------------------------------------------------------------------------------------------


def validate_attachment(value: VolumeAttachment) -> Errors:
    errors: Errors = []
    spec = value.spec
    driver_name(errors, "spec.attacher", spec.attacher)
    _attachment_source(errors, "spec.source", spec.source)
    text(errors, "spec.nodeName", spec.nodeName, dns_subdomain_messages(spec.nodeName))
    errors += validate_attachment_status(value)
    name = spec.source.persistentVolumeName
    if name is not None:
        text(errors, "spec.source.persistentVolumeName", name, dns_subdomain_messages(name))
    return errors


def _attachment_source(errors: Errors, path: str, source: VolumeAttachmentSource) -> None:
    said = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if source.inlineVolumeSpec is not None:
        if source.persistentVolumeName is not None:
            errors.append(forbidden(path, said))
        else:
            volume_spec(errors, f"{path}.inlineVolumeSpec", source.inlineVolumeSpec, inline=True)
    elif source.persistentVolumeName is None:
        errors.append(required(path, said))
    elif not source.persistentVolumeName:
        errors.append(required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName"))


def validate_attachment_status(value: VolumeAttachment) -> Errors:
    errors: Errors = []
    if _size(value.status.attachmentMetadata) > _MAX_SIZE:
        errors.append(too_long("status.attachmentMetadata", _MAX_SIZE))
    for name in ("attachError", "detachError"):
        problem: VolumeError | None = getattr(value.status, name)
        if problem is None:
            continue
        if len(problem.message.encode()) > _MAX_MESSAGE:
            errors.append(too_long(f"status.{name}.message", _MAX_SIZE))
        if problem.errorCode is not None and problem.errorCode < 0:
            said = "must be between 0 and 2147483647, inclusive"
            errors.append(invalid(f"status.{name}.errorCode", problem.errorCode, said))
    return errors


def validate_attachment_update(new: VolumeAttachment, old: VolumeAttachment) -> Errors:
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


# ---- CSI -------------------------------------------------------------------------------------------------------------------------------


def validate_driver(value: CSIDriver) -> Errors:
    errors: Errors = []
    spec = value.spec
    for name, path in (("attachRequired", "attachedRequired"), ("podInfoOnMount", ""), ("storageCapacity", ""), ("seLinuxMount", "")):
        if getattr(spec, name) is None:
            errors.append(required(f"spec.{path or name}"))
    if spec.fsGroupPolicy is not None and spec.fsGroupPolicy not in _FS_GROUP_POLICIES:
        errors.append(not_supported("spec.fsGroupPolicy", spec.fsGroupPolicy, _FS_GROUP_POLICIES))
    _token_requests(errors, "spec.tokenRequests", value)
    for mode in spec.volumeLifecycleModes:
        if mode not in ("Persistent", "Ephemeral"):
            errors.append(not_supported("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral")))
    period = spec.nodeAllocatableUpdatePeriodSeconds
    if period is not None and period < _MIN_UPDATE_SECONDS:
        said = f"must be greater than or equal to {_MIN_UPDATE_SECONDS} seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, said))
    if spec.serviceAccountTokenInSecrets is not None and not spec.tokenRequests:
        said = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        errors.append(invalid("spec.serviceAccountTokenInSecrets", spec.serviceAccountTokenInSecrets, said))
    return errors


def _token_requests(errors: Errors, path: str, value: CSIDriver) -> None:
    audiences: set[str] = set()
    for index, request in enumerate(value.spec.tokenRequests):
        here = f"{path}[{index}]"
        if request.audience in audiences:
            errors.append(duplicate(f"{here}.audience", request.audience))
            continue
        audiences.add(request.audience)
        seconds = request.expirationSeconds
        if seconds is not None and seconds < _MIN_TOKEN_SECONDS:
            errors.append(invalid(f"{here}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds is not None and seconds > 1 << 32:
            errors.append(invalid(f"{here}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))


def validate_driver_update(new: CSIDriver, old: CSIDriver) -> Errors:
    errors: Errors = []
    immutable(errors, "spec.attachedRequired", new.spec.attachRequired, old.spec.attachRequired)
    immutable(errors, "spec.volumeLifecycleModes", new.spec.volumeLifecycleModes, old.spec.volumeLifecycleModes)
    return errors


def validate_node(value: CSINode) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for index, driver in enumerate(value.spec.drivers or []):
        path = f"spec.drivers[{index}]"
        driver_name(errors, f"{path}.name", driver.name)
        _node_driver(errors, path, driver)
        if driver.name in seen:
            errors.append(duplicate(f"{path}.name", driver.name))
        seen.add(driver.name)
    return errors


def _node_driver(errors: Errors, path: str, driver: CSINodeDriver) -> None:
    if not driver.nodeID:
        errors.append(required(f"{path}.nodeID"))
    elif len(driver.nodeID.encode()) > _MAX_NODE_ID:
        errors.append(invalid(f"{path}.nodeID", driver.nodeID, f"must be {_MAX_NODE_ID} characters or less"))
    if driver.allocatable is not None:
        non_negative(errors, f"{path}.allocatable.count", driver.allocatable.count)
    keys: set[str] = set()
    for key in driver.topologyKeys or []:
        if not key:
            errors.append(required(path))
        if key in keys:
            errors.append(duplicate(path, key))
        keys.add(key)
        label_name(errors, path, key)


def validate_node_update(new: CSINode, old: CSINode) -> Errors:
    """Drivers come and go, but one that stays is what it was; only how many volumes it takes may change."""
    errors: Errors = []
    before = {driver.name: driver for driver in old.spec.drivers or []}
    for driver in new.spec.drivers or []:
        if driver.name in before:
            now, then = (msgspec.structs.replace(item, allocatable=None) for item in (driver, before[driver.name]))
            immutable(errors, "spec.drivers", now, then)
    return errors


def validate_capacity(value: CSIStorageCapacity) -> Errors:
    errors: Errors = []
    label_selector(errors, "nodeTopology", value.nodeTopology)
    dns_subdomain(errors, "storageClassName", value.storageClassName)
    if value.capacity is not None and parse(value.capacity) < 0:
        errors.append(invalid("capacity", value.capacity, "must be greater than or equal to 0"))
    return errors


def validate_capacity_update(new: CSIStorageCapacity, old: CSIStorageCapacity) -> Errors:
    errors: Errors = []
    immutable(errors, "nodeTopology", new.nodeTopology, old.nodeTopology)
    immutable(errors, "storageClassName", new.storageClassName, old.storageClassName)
    return errors
