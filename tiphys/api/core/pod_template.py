"""PodTemplate: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.pods import validation
from tiphys.api.core.pods.defaults import default_pod_spec
from tiphys.api.core.pods.warnings import template_warnings
from tiphys.api.core.v1 import PodTemplate
from tiphys.api.core.workloads import images_of, names_of
from tiphys.api.machinery.columns import NAME, cell, format_labels
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors


def default_pod_template(template: PodTemplate) -> None:
    """Default the pod spec of the template."""
    default_pod_spec(template.template.spec)


def validate_pod_template(value: PodTemplate) -> Errors:
    """Return the mistakes in a template of pods."""
    errors: Errors = []
    validation.template(errors, "template", value.template)
    return errors


class PodTemplateRules(Rules[PodTemplate]):
    default = staticmethod(default_pod_template)

    def prepare_create(self, obj: PodTemplate) -> None:
        obj.metadata.generation = 1

    validate = staticmethod(validate_pod_template)

    def warnings(self, obj: PodTemplate, old: PodTemplate | None) -> list[str]:
        return template_warnings("template", obj.template)

    def spec_changed(self, new: PodTemplate, old: PodTemplate) -> bool:
        return new.template != old.template


COLUMNS = (
    NAME,
    Column("Containers", cell(lambda obj: names_of(obj.template.spec.containers)), description="Names of the template's containers."),
    Column("Images", cell(lambda obj: images_of(obj.template.spec.containers)), description="Images of the template's containers."),
    Column("Pod Labels", cell(lambda obj: format_labels(obj.template.metadata.labels)), description="Labels of the template's pods."),
)

POD_TEMPLATES: Kind[core.PodTemplate] = Kind(
    type=core.PodTemplate, plural="podtemplates", rules=PodTemplateRules(), columns=COLUMNS, shown_when_deleted=True
)
