"""PersistentVolumeClaim: defaults, validation, columns and registration."""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.resources import is_native
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate,
    TypedLocalObjectReference,
    TypedObjectReference,
)
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.core.volumes.shared import ATTRIBUTES, MODE, OLD_ANNOTATIONS, VOLUME_MODES, access_modes, difference, modes_cell, phase_cell
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import dns_subdomain_messages, qualified_name_messages
from tiphys.api.machinery.quantity import ZERO, canonicalize, compare, is_whole, parse, whole
from tiphys.api.machinery.scheme import Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import IMMUTABLE, Errors, annotation_map, dns_label, immutable, label_selector, labels, text
from tiphys.api.well_known import STORAGE_CLASS_BETA

_SNAPSHOTS = "snapshot.storage.k8s.io"


def default_claim(claim: PersistentVolumeClaim) -> None:
    """Ask for a file system, and begin in phase Pending ("Persistent Volumes")."""
    if claim.spec.volumeMode is None:
        claim.spec.volumeMode = "Filesystem"
    claim.status.phase = claim.status.phase or "Pending"


def align_data_sources(spec: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec | None) -> None:
    """`dataSource` and `dataSourceRef` say the same; the older of the two fields knows claims and snapshots only (KEP-1495).

    References into other namespaces are not supported, and dropped as everywhere where they are off.
    """
    ref = spec.dataSourceRef
    if ref is not None and ref.namespace and (old is None or old.dataSourceRef is None):
        spec.dataSourceRef = None
    used = old is not None and (old.dataSource is not None or old.dataSourceRef is not None)
    source = spec.dataSource
    if source is not None and not used and spec.dataSourceRef is None:
        known = (source.apiGroup or "", source.kind) in (("", "PersistentVolumeClaim"), (_SNAPSHOTS, "VolumeSnapshot"))
        spec.dataSource = source if known else None
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is not None and ref is None:
        spec.dataSourceRef = TypedObjectReference(apiGroup=source.apiGroup, kind=source.kind, name=source.name)
    elif ref is not None and source is None and not ref.namespace:
        spec.dataSource = TypedLocalObjectReference(apiGroup=ref.apiGroup, kind=ref.kind, name=ref.name)


_RESIZE = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending",
)  # fmt: skip

_FROZEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def validate_claim(claim: PersistentVolumeClaim) -> Errors:
    """Return the mistakes in a claim ("Persistent Volumes: PersistentVolumeClaims")."""
    errors: Errors = []
    validate_claim_spec(errors, "spec", claim.spec)
    return errors


def validate_claim_spec(errors: Errors, path: str, spec: PersistentVolumeClaimSpec) -> None:
    """Validate the spec of a claim, or of a template of claims."""
    if not spec.accessModes:
        errors.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    label_selector(errors, f"{path}.selector", spec.selector)
    access_modes(errors, f"{path}.accessModes", spec.accessModes)
    size = spec.resources.requests.get("storage")
    if size is None:
        errors.append(required(f"{path}.resources[storage]"))
    elif parse(size) <= 0:
        errors.append(invalid(f"{path}.resources[storage]", size, "must be greater than zero"))
    for name in ("storageClassName", "volumeAttributesClassName"):
        if value := getattr(spec, name):
            text(errors, f"{path}.{name}", value, dns_subdomain_messages(value))
    if spec.volumeMode is not None and spec.volumeMode not in VOLUME_MODES:
        errors.append(not_supported(f"{path}.volumeMode", spec.volumeMode, VOLUME_MODES))
    _data_sources(errors, path, spec)


def size_warnings(path: str, spec: PersistentVolumeClaimSpec) -> list[str]:
    """Warn of sizes that are no whole number of bytes."""
    warnings = []
    for kind in ("requests", "limits"):
        size = getattr(spec.resources, kind).get("storage")
        if size is not None and not is_whole(size):
            warnings.append(f'{path}.resources.{kind}[storage]: fractional byte value "{size}" is invalid, must be an integer')
    return warnings


def validate_claim_template(errors: Errors, path: str, template: PersistentVolumeClaimTemplate) -> None:
    """The claim that is made for one pod: of its metadata only labels and annotations are its own."""
    meta = template.metadata
    annotation_map(errors, f"{path}.metadata.annotations", meta.annotations)
    labels(errors, f"{path}.metadata.labels", meta.labels)
    for field in msgspec.structs.fields(type(meta)):
        if field.name not in ("annotations", "labels") and getattr(meta, field.name):
            errors.append(forbidden(f"{path}.metadata.{field.name}", "cannot be set"))
    validate_claim_spec(errors, f"{path}.spec", template.spec)


def _data_sources(errors: Errors, path: str, spec: PersistentVolumeClaimSpec) -> None:
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is not None:
        _data_source(errors, f"{path}.dataSource", source)
    if ref is None:
        return
    _data_source(errors, f"{path}.dataSourceRef", ref)
    if ref.namespace:
        dns_label(errors, f"{path}.dataSourceRef.namespace", ref.namespace)
    if source is None:
        return
    if ref.namespace:
        errors.append(invalid(path, f"{path}.dataSource", "may not be specified when dataSourceRef.namespace is specified"))
    elif (source.apiGroup, source.kind, source.name) != (ref.apiGroup, ref.kind, ref.name):
        errors.append(invalid(path, f"{path}.dataSource", "must match dataSourceRef"))


def _data_source(errors: Errors, path: str, source: TypedLocalObjectReference | TypedObjectReference) -> None:
    for name in ("name", "kind"):
        if not getattr(source, name):
            errors.append(required(f"{path}.{name}"))
    if not source.apiGroup:
        if source.kind != "PersistentVolumeClaim":
            errors.append(invalid(path, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    else:
        text(errors, f"{path}.apiGroup", source.apiGroup, dns_subdomain_messages(source.apiGroup))


def validate_claim_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Errors:
    """A claim is bound once, may get the class that it lacked, and grows while it is bound."""
    errors: Errors = []
    bound = new.status.phase == "Bound"
    undone = msgspec.structs.replace(new.spec)
    if not old.spec.volumeName:
        undone.volumeName = old.spec.volumeName
    _class_kept(errors, new, old, undone)
    if bound:
        if new.spec.resources.requests:
            requests = {**new.spec.resources.requests, "storage": old.spec.resources.requests.get("storage", ZERO)}
            undone.resources = msgspec.structs.replace(new.spec.resources, requests=requests)
        undone.volumeAttributesClassName = old.spec.volumeAttributesClassName
    changed = [f.name for f in msgspec.structs.fields(PersistentVolumeClaimSpec) if getattr(undone, f.name) != getattr(old.spec, f.name)]
    if changed:
        errors.append(forbidden("spec", f"{_FROZEN}\n{difference(undone, old.spec, changed)}"))
    size, before = (claim.spec.resources.requests.get("storage", ZERO) for claim in (new, old))
    if compare(size, before) < 0 and compare(size, old.status.capacity.get("storage", ZERO)) <= 0:
        errors.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    immutable(errors, "volumeMode", new.spec.volumeMode, old.spec.volumeMode)
    _attributes_class_kept(errors, new, old)
    return errors


def _class_kept(errors: Errors, new: PersistentVolumeClaim, old: PersistentVolumeClaim, undone: PersistentVolumeClaimSpec) -> None:
    """The class never changes, but a claim without one may get one: that of its annotation, if it has that."""
    annotation = old.metadata.annotations.get(STORAGE_CLASS_BETA)
    now = new.metadata.annotations.get(STORAGE_CLASS_BETA)
    is_set = old.spec.storageClassName is None and new.spec.storageClassName is not None
    moved = is_set and annotation is not None and new.spec.storageClassName == annotation and now in (None, annotation)
    if not moved and (annotation or "") != (now or ""):
        errors.append(invalid(f"metadata.annotations.{STORAGE_CLASS_BETA}", now or "", IMMUTABLE))
    if is_set and annotation in (None, new.spec.storageClassName):
        undone.storageClassName = old.spec.storageClassName


def _attributes_class_kept(errors: Errors, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    name = new.spec.volumeAttributesClassName
    if name == old.spec.volumeAttributesClassName or old.status.currentVolumeAttributesClassName is None or name:
        return
    shown = "nil" if name is None else "empty string"
    path = "spec.volumeAttributesClassName"
    errors.append(forbidden(path, f"update to {shown} is forbidden when status.currentVolumeAttributesClassName is not nil"))


def validate_claim_status(claim: PersistentVolumeClaim) -> Errors:
    """Return the mistakes in the capacity, resizing and access modes of a status."""
    errors: Errors = []
    status = claim.status
    for name, quantity in status.capacity.items():
        _not_negative(errors, f"status.capacity[{name}]", quantity)
    path = "status.allocatedResourceStatuses"
    for name, value in status.allocatedResourceStatuses.items():
        _resource(errors, path, name)
        if value not in _RESIZE:
            errors.append(not_supported(path, name, sorted(_RESIZE)))
    path = "status.allocatedResources"
    for name, quantity in status.allocatedResources.items():
        if _resource(errors, path, name):
            _not_negative(errors, f"{path}[{name}]", quantity)
    return errors


def _not_negative(errors: Errors, path: str, quantity: str) -> None:
    if parse(quantity) < 0:
        errors.append(invalid(path, whole(quantity), "must be a valid resource quantity"))


def _resource(errors: Errors, path: str, name: str) -> bool:
    """Validate the name of a resource of a volume: storage, and whatever drivers define."""
    if wrong := qualified_name_messages(name):
        text(errors, path, name, wrong)
    elif is_native(name) and name != "storage":
        errors.append(not_supported(path, name, ("storage",)))
    else:
        return True
    return False


class PersistentVolumeClaimRules(Uncounted[PersistentVolumeClaim]):
    default = staticmethod(default_claim)

    def prepare_create(self, obj: PersistentVolumeClaim) -> None:
        obj.status.phase = "Pending"
        align_data_sources(obj.spec, None)

    def prepare_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        align_data_sources(new.spec, old.spec)

    def prepare_status_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
        canonicalize(new)
        new.status.phase = new.status.phase or "Pending"

    validate = staticmethod(validate_claim)
    validate_update = staticmethod(validate_claim_update)

    def validate_status_update(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> list[FieldError]:
        return validate_claim_status(new)

    def warnings(self, obj: PersistentVolumeClaim, old: PersistentVolumeClaim | None) -> list[str]:
        warnings = []
        if STORAGE_CLASS_BETA in obj.metadata.annotations:
            warnings.append(f"metadata.annotations[{STORAGE_CLASS_BETA}]: {OLD_ANNOTATIONS[STORAGE_CLASS_BETA]}")
        return warnings + size_warnings("spec", obj.spec)


def _capacity(claim: PersistentVolumeClaim) -> str:
    return str(claim.status.capacity.get("storage", "0")) if claim.spec.volumeName else ""


COLUMNS = (
    NAME,
    Column("Status", cell(phase_cell), description="Whether it has its volume."),
    Column("Volume", cell(lambda obj: obj.spec.volumeName), description="The volume that it is bound to."),
    Column("Capacity", cell(_capacity), description="How large the volume is."),
    Column("Access Modes", cell(modes_cell), description="How it can be mounted."),
    Column("StorageClass", cell(class_of_claim), description="Its class."),
    ATTRIBUTES,
    AGE,
    MODE,
)

PERSISTENT_VOLUME_CLAIMS: Kind[core.PersistentVolumeClaim] = Kind(
    type=core.PersistentVolumeClaim,
    plural="persistentvolumeclaims",
    rules=PersistentVolumeClaimRules(),
    columns=COLUMNS,
    short_names=("pvc",),
    subresources=(STATUS,),
    selectable={"name": lambda claim: claim.metadata.name},
    shown_when_deleted=True,
)
