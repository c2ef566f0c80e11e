"""VolumeAttachment: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.persistent_volume import validate_volume_spec
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.volumes.sources import driver_name
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, required, too_long
from tiphys.api.machinery.names import dns_subdomain_messages
from tiphys.api.machinery.scheme import METADATA_STAYS, Column, Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, immutable, text
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.shared import MAX_MESSAGE, MAX_SIZE, encoded_size
from tiphys.api.storage.v1 import VolumeAttachment, VolumeAttachmentSource, VolumeError


def validate_attachment(value: VolumeAttachment) -> Errors:
    """Return the mistakes in an attachment."""
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
    message = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if source.inlineVolumeSpec is not None:
        if source.persistentVolumeName is not None:
            errors.append(forbidden(path, message))
        else:
            validate_volume_spec(errors, f"{path}.inlineVolumeSpec", source.inlineVolumeSpec, inline=True)
    elif source.persistentVolumeName is None:
        errors.append(required(path, message))
    elif not source.persistentVolumeName:
        errors.append(required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName"))


def validate_attachment_status(value: VolumeAttachment) -> Errors:
    """Return the mistakes in the status of an attachment."""
    errors: Errors = []
    if encoded_size(value.status.attachmentMetadata) > MAX_SIZE:
        errors.append(too_long("status.attachmentMetadata", MAX_SIZE))
    for name in ("attachError", "detachError"):
        problem: VolumeError | None = getattr(value.status, name)
        if problem is None:
            continue
        if len(problem.message.encode()) > MAX_MESSAGE:
            errors.append(too_long(f"status.{name}.message", MAX_SIZE))
        if problem.errorCode is not None and problem.errorCode < 0:
            message = "must be between 0 and 2147483647, inclusive"
            errors.append(invalid(f"status.{name}.errorCode", problem.errorCode, message))
    return errors


def validate_attachment_update(new: VolumeAttachment, old: VolumeAttachment) -> Errors:
    """Refuse changes of the spec."""
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


class VolumeAttachmentRules(Uncounted[VolumeAttachment]):
    resets = METADATA_STAYS
    needs_version = True

    validate = staticmethod(validate_attachment)
    validate_update = staticmethod(validate_attachment_update)

    def validate_status_update(self, new: VolumeAttachment, old: VolumeAttachment) -> list[FieldError]:
        return validate_attachment_status(new)

    def prepare_status_update(self, new: VolumeAttachment, old: VolumeAttachment) -> None:
        new.metadata.labels, new.metadata.annotations = old.metadata.labels, old.metadata.annotations


COLUMNS = (
    NAME,
    Column("Attacher", cell(lambda obj: obj.spec.attacher), format="name", description="The driver."),
    Column("PV", cell(lambda obj: obj.spec.source.persistentVolumeName or ""), description="The volume."),
    Column("Node", cell(lambda obj: obj.spec.nodeName), description="The node that it is attached to."),
    Column("Attached", cell(lambda obj: obj.status.attached), type="boolean", description="Whether it is attached."),
    AGE,
)

VOLUME_ATTACHMENTS: Kind[storage.VolumeAttachment] = Kind(
    type=storage.VolumeAttachment,
    plural="volumeattachments",
    rules=VolumeAttachmentRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
    shown_when_deleted=True,
)
