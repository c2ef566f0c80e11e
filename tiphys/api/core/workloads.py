"""Rules and columns that all workloads share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from tiphys.api.core.internal import internal
from tiphys.api.core.pods import validation
from tiphys.api.core.v1 import Container, PodTemplateSpec
from tiphys.api.machinery.columns import AGE, NAME, cell, format_selector
from tiphys.api.machinery.errors import forbidden, invalid, not_supported
from tiphys.api.machinery.scheme import Column
from tiphys.api.machinery.selectors import Selector
from tiphys.api.meta.v1 import LabelSelector
from tiphys.api.rules.basics import Errors


def workload_template(errors: Errors, path: str, value: PodTemplateSpec) -> None:
    """The template of pods that are to run forever."""
    validation.template(errors, path, value)
    always_restarted(errors, path, value, "ReplicaSet")


def always_restarted(errors: Errors, path: str, value: PodTemplateSpec, kind: str) -> None:
    """Pods of this kind of workload are always restarted and have no deadline."""
    if value.spec.restartPolicy != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", value.spec.restartPolicy, ("Always",)))
    if value.spec.activeDeadlineSeconds is not None:
        errors.append(forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"))


class _Counted(Protocol):
    replicas: int


def at_most_replicas(errors: Errors, status: _Counted, names: Iterable[str]) -> None:
    """Each of the counts is of pods that `replicas` counts too."""
    for name in names:
        count: int = getattr(status, name)
        if count > status.replicas:
            errors.append(invalid(f"status.{name}", count, "cannot be greater than status.replicas"))


def validate_selection(errors: Errors, selector: Selector, template: PodTemplateSpec) -> None:
    """The selector selects the pods of the template."""
    if not selector.matches(template.metadata.labels):
        message = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", internal(template.metadata.labels), message))


def is_empty_selector(selector: LabelSelector) -> bool:
    """True if the selector selects everything."""
    return not selector.matchLabels and not selector.matchExpressions


def names_of(containers: Sequence[Container]) -> str:
    """Join the names of containers for a table."""
    return ",".join(container.name for container in containers)


def images_of(containers: Sequence[Container]) -> str:
    """Join the images of containers for a table."""
    return ",".join(container.image for container in containers)


CONTAINERS = (
    Column("Containers", cell(lambda obj: names_of(obj.spec.template.spec.containers)), priority=1, description="Names of the containers."),
    Column("Images", cell(lambda obj: images_of(obj.spec.template.spec.containers)), priority=1, description="Images of the containers."),
)

_SELECTOR = Column("Selector", cell(lambda obj: format_selector(obj.spec.selector)), priority=1, description="The labels of its pods.")
TEMPLATE = (*CONTAINERS, _SELECTOR)

REPLICAS = (
    NAME,
    Column("Desired", cell(lambda obj: obj.spec.replicas or 0), type="integer", description="How many pods there are to be."),
    Column("Current", cell(lambda obj: obj.status.replicas), type="integer", description="How many pods there are."),
    Column("Ready", cell(lambda obj: obj.status.readyReplicas), type="integer", description="How many of them are ready."),
    AGE,
)
