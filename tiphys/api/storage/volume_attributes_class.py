"""VolumeAttributesClass: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import forbidden, required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors
from tiphys.api.storage import GROUP
from tiphys.api.storage import v1 as storage
from tiphys.api.storage.shared import parameters, provisioner
from tiphys.api.storage.v1 import VolumeAttributesClass


def validate_attributes_class(value: VolumeAttributesClass) -> Errors:
    """Return the mistakes in a class of attributes ("Volume Attributes Classes")."""
    errors: Errors = []
    provisioner(errors, "driverName", value.driverName)
    parameters(errors, "parameters", value.parameters)
    if not value.parameters:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    return errors


def validate_attributes_class_update(new: VolumeAttributesClass, old: VolumeAttributesClass) -> Errors:
    """Refuse changes of driver and parameters ("Volume Attributes Classes")."""
    errors: Errors = []
    for name in ("driverName", "parameters"):
        if getattr(new, name) != getattr(old, name):
            errors.append(forbidden(name, f"updates to {name} are forbidden."))
    return errors


class VolumeAttributesClassRules(Rules[VolumeAttributesClass]):
    validate = staticmethod(validate_attributes_class)
    validate_update = staticmethod(validate_attributes_class_update)


COLUMNS = (NAME, Column("DriverName", cell(lambda obj: obj.driverName), description="The driver that knows them."), AGE)

VOLUME_ATTRIBUTES_CLASSES: Kind[storage.VolumeAttributesClass] = Kind(
    type=storage.VolumeAttributesClass,
    plural="volumeattributesclasses",
    rules=VolumeAttributesClassRules(),
    columns=COLUMNS,
    group=GROUP,
    namespaced=False,
    short_names=("vac",),
    shown_when_deleted=True,
)
