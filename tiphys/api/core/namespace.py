"""Namespace: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.uncounted import Uncounted
from tiphys.api.core.v1 import Namespace
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid
from tiphys.api.machinery.names import dns_label
from tiphys.api.machinery.scheme import VERBS, Column, Kind, Subresource
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.rules.basics import Errors, label_name

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def default_namespace(namespace: Namespace) -> None:
    """Label the namespace with its name, and begin in phase Active ("Namespaces: Automatic labelling")."""
    if namespace.metadata.name:
        namespace.metadata.labels[NAMESPACE_NAME_LABEL] = namespace.metadata.name
    namespace.status.phase = namespace.status.phase or "Active"


def validate_namespace(namespace: Namespace) -> Errors:
    """Return finalizers that are neither standard nor fully qualified."""
    errors: Errors = []
    for finalizer in namespace.spec.finalizers:
        label_name(errors, "spec.finalizers", finalizer)
        if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
            errors.append(invalid("spec.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
    return errors


def validate_namespace_status(new: Namespace) -> Errors:
    """Return the mistakes in the phase: Terminating when, and only when, the namespace is being deleted."""
    errors: Errors = []
    expected = "Terminating" if new.metadata.deletionTimestamp else "Active"
    if new.status.phase != expected:
        message = "may only be 'Active' if `deletionTimestamp` is empty"
        if new.metadata.deletionTimestamp:
            message = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        errors.append(invalid("status.Phase", new.status.phase, message))
    return errors


NAMESPACE_FINALIZER = "kubernetes"


class NamespaceRules(Uncounted[Namespace]):
    """Namespaces stay until everything in them is gone, which the finalizer `kubernetes` in the spec stands for."""

    default = staticmethod(default_namespace)

    def prepare_create(self, obj: Namespace) -> None:
        obj.status.phase = "Active"
        if obj.metadata.name:
            obj.metadata.labels[NAMESPACE_NAME_LABEL] = obj.metadata.name
        if NAMESPACE_FINALIZER not in obj.spec.finalizers:
            obj.spec.finalizers = [*obj.spec.finalizers, NAMESPACE_FINALIZER]

    def prepare_update(self, new: Namespace, old: Namespace) -> None:
        new.spec.finalizers = old.spec.finalizers

    def prepare_status_update(self, new: Namespace, old: Namespace) -> None:
        new.status.phase = new.status.phase or "Active"

    validate = staticmethod(validate_namespace)

    def validate_status_update(self, new: Namespace, old: Namespace) -> list[FieldError]:
        return validate_namespace_status(new)

    validate_name = staticmethod(dns_label)

    def is_held(self, obj: Namespace) -> bool:
        return bool(obj.metadata.finalizers or obj.spec.finalizers)

    def begin_deletion(self, obj: Namespace) -> None:
        obj.metadata.deletionGracePeriodSeconds = None
        obj.status.phase = "Terminating"


COLUMNS = (NAME, Column("Status", cell(lambda obj: obj.status.phase), description="Active or Terminating."), AGE)

NAMESPACES: Kind[core.Namespace] = Kind(
    type=core.Namespace,
    plural="namespaces",
    rules=NamespaceRules(),
    columns=COLUMNS,
    namespaced=False,
    short_names=("ns",),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
    subresources=(Subresource("finalize", ("update",)), STATUS),
    selectable={"name": lambda namespace: namespace.metadata.name, "status.phase": lambda namespace: namespace.status.phase},
    shown_when_deleted=True,
)
