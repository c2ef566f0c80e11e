"""Validation of metadata, the same for every kind.

`validate` and `validate_update` are called by the generic create and update code; `validate` after the name has been generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from tiphys.api.machinery.errors import forbidden, invalid, required
from tiphys.api.machinery.names import dns_label_messages, path_segment, prefixed, qualified_name_messages
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.rules.basics import Errors, annotation_map, immutable, labels, non_negative, text

FINALIZER_ORPHAN = "orphan"
FINALIZER_FOREGROUND = "foregroundDeletion"
STANDARD_FINALIZERS = frozenset(("kubernetes", FINALIZER_ORPHAN, FINALIZER_FOREGROUND))
_PATH = "metadata"
_FIXED = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_fixed = attrgetter(*_FIXED)


def validate(meta: ObjectMeta, *, namespaced: bool, name_rule: Callable[[str], str], standard: bool = False, prefix: bool = True) -> Errors:
    """Everything wrong with the metadata of an object that is created.

    `name_rule` returns the mistake in a name, or ""; `standard` lets finalizers without a domain be those of Kubernetes only;
    without `prefix` a generateName may be any segment of a path.
    """
    errors: Errors = []
    if meta.generateName and (message := prefixed(name_rule if prefix else path_segment, meta.generateName)):
        errors.append(invalid("metadata.generateName", meta.generateName, message))
    if not meta.name:
        errors.append(required("metadata.name", "name or generateName is required"))
    elif message := name_rule(meta.name):
        errors.append(invalid("metadata.name", meta.name, message))
    if namespaced:
        if not meta.namespace:
            errors.append(required("metadata.namespace"))
        elif wrong := dns_label_messages(meta.namespace):
            text(errors, "metadata.namespace", meta.namespace, wrong)
    elif meta.namespace:
        errors.append(forbidden("metadata.namespace", "not allowed on this type"))
    _common(errors, meta)
    _finalizers(errors, meta.finalizers, standard=standard)
    return errors


def validate_update(new: ObjectMeta, old: ObjectMeta, *, standard: bool = False) -> Errors:
    """Everything wrong with the metadata of an object that replaces `old`. Fields that the generic code carries over agree already."""
    errors: Errors = []
    if old.deletionTimestamp is not None:
        added = sorted(set(new.finalizers) - set(old.finalizers))
        if added:
            names = ", ".join(f'"{name}"' for name in added)
            message = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{names}}}"
            errors.append(forbidden("metadata.finalizers", message))
    if new.generation < old.generation:
        errors.append(invalid("metadata.generation", new.generation, "must not be decremented"))
    if _fixed(new) != _fixed(old):
        for name in _FIXED:
            immutable(errors, f"metadata.{name}", getattr(new, name), getattr(old, name))
    _common(errors, new)
    if new.finalizers != old.finalizers:
        _finalizers(errors, new.finalizers, standard=standard)
    return errors


def _common(errors: Errors, meta: ObjectMeta) -> None:
    non_negative(errors, "metadata.generation", meta.generation)
    if meta.labels:
        labels(errors, "metadata.labels", meta.labels)
    if meta.annotations:
        annotation_map(errors, "metadata.annotations", meta.annotations)
    if meta.ownerReferences:
        owner_references(errors, "metadata.ownerReferences", meta.ownerReferences)


def _finalizers(errors: Errors, finalizers: Sequence[str], *, standard: bool) -> None:
    for finalizer in finalizers:
        text(errors, "metadata.finalizers", finalizer, qualified_name_messages(finalizer))
    if FINALIZER_ORPHAN in finalizers and FINALIZER_FOREGROUND in finalizers:
        message = f"finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set"
        errors.append(invalid("metadata.finalizers", list(finalizers), message))
    if standard:
        for index, finalizer in enumerate(finalizers):
            if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
                message = "name is neither a standard finalizer name nor is it fully qualified"
                errors.append(invalid(f"metadata.finalizers[{index}]", finalizer, message))


def owner_references(errors: Errors, path: str, references: Sequence[OwnerReference]) -> None:
    """At most one controller, and every owner named in full."""
    controller = ""
    for reference in references:
        if not reference.apiVersion.rpartition("/")[2]:
            errors.append(invalid(f"{path}.apiVersion", reference.apiVersion, "version must not be empty"))
        for name in ("kind", "name", "uid"):
            if not getattr(reference, name):
                errors.append(invalid(f"{path}.{name}", "", "must not be empty"))
        if reference.apiVersion == "v1" and reference.kind == "Event":
            errors.append(invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
        if reference.controller:
            this = f"{reference.kind}/{reference.name}"
            if controller:
                message = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {this}'
                errors.append(invalid(path, list(references), message))
            else:
                controller = this
