"""ControllerRevision: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.apps import v1 as apps
from tiphys.api.apps.v1 import ControllerRevision
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell
from tiphys.api.machinery.errors import required
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors, immutable, non_negative


def validate_controller_revision(value: ControllerRevision) -> Errors:
    """Return the mistakes in a revision: its data is a JSON object."""
    errors: Errors = []
    non_negative(errors, "revision", value.revision)
    if not value.data:
        errors.append(required("data", "data is mandatory"))
    elif not isinstance(value.data, dict):
        errors.append(required("data", "data must be a valid JSON object"))
    return errors


def validate_controller_revision_update(new: ControllerRevision, old: ControllerRevision) -> Errors:
    """Refuse changes of the data."""
    errors: Errors = []
    immutable(errors, "data", new.data, old.data)
    return errors


class ControllerRevisionRules(Rules[ControllerRevision]):
    validate = staticmethod(validate_controller_revision)
    validate_update = staticmethod(validate_controller_revision_update)


def _controller(revision: ControllerRevision) -> str:
    for owner in revision.metadata.ownerReferences:
        if owner.controller:
            group = owner.apiVersion.rpartition("/")[0]
            return f"{owner.kind.lower()}.{group}/{owner.name}" if group else f"{owner.kind.lower()}/{owner.name}"
    return NONE


COLUMNS = (
    NAME,
    Column("Controller", cell(_controller), description="The workload that keeps this revision."),
    Column("Revision", cell(lambda obj: obj.revision), description="Its number."),
    AGE,
)

CONTROLLER_REVISIONS: Kind[apps.ControllerRevision] = Kind(
    type=apps.ControllerRevision,
    plural="controllerrevisions",
    rules=ControllerRevisionRules(),
    columns=COLUMNS,
    group="apps",
)
