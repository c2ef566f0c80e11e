"""ResourceClaimTemplate: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core.uncounted import Uncounted
from tiphys.api.machinery.columns import AGE, NAME
from tiphys.api.machinery.scheme import Kind
from tiphys.api.resource import GROUP
from tiphys.api.resource import v1 as resource
from tiphys.api.resource.resource_claim import default_claim, validate_devices
from tiphys.api.resource.v1 import ResourceClaimTemplate
from tiphys.api.rules.basics import Errors, annotation_map, immutable, labels


def validate_template(template: ResourceClaimTemplate) -> Errors:
    """Return the mistakes in a template of claims."""
    errors: Errors = []
    labels(errors, "spec.metadata.labels", template.spec.metadata.labels)
    annotation_map(errors, "spec.metadata.annotations", template.spec.metadata.annotations)
    validate_devices(errors, "spec.spec.devices", template.spec.spec.devices)
    return errors


def validate_template_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Errors:
    """Refuse changes of the spec."""
    errors: Errors = []
    immutable(errors, "spec", new.spec, old.spec)
    return errors


class ResourceClaimTemplateRules(Uncounted[ResourceClaimTemplate]):
    def default(self, obj: ResourceClaimTemplate) -> None:
        default_claim(obj.spec.spec)

    validate = staticmethod(validate_template)
    validate_update = staticmethod(validate_template_update)


RESOURCE_CLAIM_TEMPLATES: Kind[resource.ResourceClaimTemplate] = Kind(
    type=resource.ResourceClaimTemplate,
    plural="resourceclaimtemplates",
    rules=ResourceClaimTemplateRules(),
    columns=(NAME, AGE),
    group=GROUP,
    shown_when_deleted=True,
)
