"""The rules of custom kinds: what for built-in kinds is written by hand follows from the definition here."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tiphys.api.custom.lists import validate_embedded, validate_lists
from tiphys.api.custom.object import CustomObject, document_of
from tiphys.api.custom.structural import Document, Structural
from tiphys.api.custom.values import ABSENT, same, validate
from tiphys.api.machinery.errors import FieldError, invalid
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules

MAX_REPLICAS = (1 << 31) - 1
_GO_TYPES = {str: "string", int: "int64", float: "float64", bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
_STANDARD_FINALIZERS = frozenset(("orphan", "foregroundDeletion", "kubernetes"))


class Scaled(NamedTuple):
    """Paths of a custom object's replicas, with a leading period; `selector` may be empty."""

    replicas: str
    status: str
    selector: str


class WrongScale(ValueError):
    """A path of the scale leads to something else than it should."""


def at(content: Document, path: str) -> Any:
    """The value at a path such as `.spec.replicas`, None where there is none; raises WrongScale for a value in the way."""
    value: Any = content
    parts = path.removeprefix(".").split(".")
    for depth, name in enumerate(parts):
        if not isinstance(value, dict):
            where = ".".join(parts[:depth])
            raise WrongScale(f".{where} accessor error: {value} is of the type {_GO_TYPES[type(value)]}, expected map[string]interface{{}}")
        if name not in value:
            return None
        value = value[name]
    return value


def number_at(content: Document, path: str) -> int | None:
    """The number at a path; raises WrongScale for anything else."""
    value = at(content, path)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise WrongScale(f"{path} accessor error: {value} is of the type {_GO_TYPES[type(value)]}, expected int64")


class CustomRules(Rules[CustomObject]):
    """One version of one custom kind."""

    names_finalizers = False
    resets = METADATA_STAYS
    needs_version = True
    ratchets = True

    def __init__(self, structural: Structural, *, has_status: bool, scale: Scaled | None) -> None:
        self._structural = structural
        self._has_status = has_status
        self._scale = scale
        self._reads_metadata = bool(structural.properties.get("metadata"))

    def drop_status(self, obj: CustomObject) -> None:
        obj.content.pop("status", None)

    def keep_status(self, new: CustomObject, old: CustomObject) -> None:
        new.content.pop("status", None)
        if "status" in old.content:
            new.content["status"] = old.content["status"]

    def keep_all_but_status(self, new: CustomObject, old: CustomObject) -> None:
        status = new.content.get("status", ABSENT)
        new.content = {name: value for name, value in old.content.items() if name != "status"}
        if status is not ABSENT:
            new.content["status"] = status
        # All metadata but managedFields stays as it was (upstream keeps it whole, too).
        meta = new.metadata
        new.metadata = msgspec.structs.replace(old.metadata, managedFields=meta.managedFields, resourceVersion=meta.resourceVersion)

    def prepare_create(self, obj: CustomObject) -> None:
        obj.metadata.generation = 1

    def spec_changed(self, new: CustomObject, old: CustomObject) -> bool:
        """Everything but metadata counts, and the status too where it is no subresource."""
        return not same(new.content, old.content)

    # --- mistakes ---

    def validate(self, obj: CustomObject) -> list[FieldError]:
        content = obj.content
        return [
            *validate(self._judged(obj), self._structural),
            *self._spec_scale(content),
            *self._status_scale(content),
            *validate_embedded(content, self._structural),
            *validate_lists(content, self._structural),
        ]

    def validate_update(self, new: CustomObject, old: CustomObject) -> list[FieldError]:
        content = new.content
        errors = [
            *validate(self._judged(new), self._structural, old=self._judged(old)),
            *self._spec_scale(content),
            *self._status_scale(content),
            *validate_embedded(content, self._structural),
        ]
        if not validate_lists(old.content, self._structural):
            errors += validate_lists(content, self._structural)
        return errors

    def validate_status_update(self, new: CustomObject, old: CustomObject) -> list[FieldError]:
        errors: list[FieldError] = []
        below = self._structural.properties.get("status")
        if below is not None and "status" in new.content:
            errors += validate(new.content["status"], below, root="status", old=old.content.get("status", ABSENT))
        errors += self._status_scale(new.content)
        if not validate_lists(old.content, self._structural):
            errors += validate_lists(new.content, self._structural)
        return errors

    def _judged(self, obj: CustomObject) -> Document:
        """Return the value to hold against the schema; metadata is spelled out only where the schema says something of it."""
        if self._reads_metadata:
            return document_of(obj)
        return {"apiVersion": obj.apiVersion, "kind": obj.kind, "metadata": {}, **obj.content}

    def _spec_scale(self, content: Document) -> list[FieldError]:
        return [] if self._scale is None else _replicas(content, self._scale.replicas)

    def _status_scale(self, content: Document) -> list[FieldError]:
        scale = self._scale
        if scale is None:
            return []
        errors = _replicas(content, scale.status)
        if scale.selector:
            try:
                value = at(content, scale.selector)
                if value is not None and not isinstance(value, str):
                    raise WrongScale(f"{scale.selector} accessor error: {value} is of the type {_GO_TYPES[type(value)]}, expected string")
            except WrongScale as error:
                errors.append(invalid(scale.selector, "", str(error)))
        return errors

    def warnings(self, obj: CustomObject, old: CustomObject | None) -> list[str]:
        before = set() if old is None else set(old.metadata.finalizers)
        return [warning for name in sorted(set(obj.metadata.finalizers) - before) for warning in _finalizer_warnings(name)]


def _replicas(content: Document, path: str) -> list[FieldError]:
    try:
        value = number_at(content, path) or 0
    except WrongScale as error:
        return [invalid(path, 0, str(error))]
    if value < 0:
        return [invalid(path, value, "should be a non-negative integer")]
    if value > MAX_REPLICAS:
        return [invalid(path, value, f"should be less than or equal to {MAX_REPLICAS}")]
    return []


def _finalizer_warnings(name: str) -> list[str]:
    warnings = [f'metadata.finalizers: "{name}": {wrong}' for wrong in qualified_name_messages(name)]
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        path = " including a path (/)" if "." in name else ""
        advice = f"prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
        warnings.append(f'metadata.finalizers: "{name}": {advice}')
    return warnings
