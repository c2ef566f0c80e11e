"""DeviceClass: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.pods.resources import is_extended
from tiphys.api.machinery.columns import AGE, NAME
from tiphys.api.machinery.errors import invalid
from tiphys.api.machinery.scheme import Kind, Rules
from tiphys.api.resource import GROUP
from tiphys.api.resource import v1 as resource
from tiphys.api.resource.resource_claim import MAX_CONFIGS, MAX_SELECTORS, validate_configuration, validate_selector
from tiphys.api.resource.shared import validate_items
from tiphys.api.resource.v1 import DeviceClass
from tiphys.api.rules.basics import Errors


def validate_class(value: DeviceClass) -> Errors:
    """Return the mistakes in a device class ("Dynamic Resource Allocation")."""
    errors: Errors = []
    validate_items(errors, "spec.selectors", value.spec.selectors, MAX_SELECTORS, validate_selector)
    validate_items(errors, "spec.config", value.spec.config, MAX_CONFIGS, validate_configuration)
    name = value.spec.extendedResourceName
    if name is not None and not is_extended(name):
        errors.append(invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return errors


class DeviceClassRules(Rules[DeviceClass]):
    judges_prefix = False

    validate = staticmethod(validate_class)


DEVICE_CLASSES: Kind[resource.DeviceClass] = Kind(
    type=resource.DeviceClass,
    plural="deviceclasses",
    rules=DeviceClassRules(),
    columns=(NAME, AGE),
    group=GROUP,
    namespaced=False,
    shown_when_deleted=True,
)
