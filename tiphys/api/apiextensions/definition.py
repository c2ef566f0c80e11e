"""Mistakes in custom resource definitions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tiphys.api.apiextensions.schemas import validate_schema
from tiphys.api.apiextensions.v1 import (
    CustomResourceColumnDefinition,
    CustomResourceConversion,
    CustomResourceDefinition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
    CustomResourceSubresourceScale,
)
from tiphys.api.custom.patterns import Patterns
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.errors import FieldError, duplicate, forbidden, invalid, not_supported, required, too_many
from tiphys.api.machinery.names import dns_1035_label_messages, dns_subdomain_messages
from tiphys.api.rules.basics import Errors, immutable

APPROVAL = "api-approved.kubernetes.io"
MAX_SELECTABLE = 8
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")

_COLUMN_FORMATS = (
    "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
)  # fmt: skip

_SELECTABLE_PATH = re.compile(r"(?:\.[A-Za-z_][A-Za-z0-9_\-]*|\['[^']*'\])+")
_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_\-]*)|\['([^']*)'\]")


def validate_definition_name(definition: CustomResourceDefinition) -> Errors:
    """The name follows from the defined kind."""
    name, spec = definition.metadata.name, definition.spec
    if name and name != f"{spec.names.plural}.{spec.group}":
        return [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]
    return []


def validate_definition(definition: CustomResourceDefinition) -> Errors:
    """Every mistake of a definition but those of its metadata."""
    spec, status = definition.spec, definition.status
    return [
        *validate_definition_name(definition),
        *_shared(_spec(spec), spec),
        *_names(status.acceptedNames, "status.acceptedNames"),
        *_stored_versions(status.storedVersions, spec),
    ]


def validate_new_definition(definition: CustomResourceDefinition) -> Errors:
    """Return the mistakes in a definition only when it is new."""
    return _approval(definition, None)


def validate_definition_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Errors:
    """Changes that are not allowed."""
    errors: Errors = []
    if is_true(old.status.conditions or (), "Established"):
        immutable(errors, "spec.scope", new.spec.scope, old.spec.scope)
        immutable(errors, "spec.names.kind", new.spec.names.kind, old.spec.names.kind)
    immutable(errors, "spec.group", new.spec.group, old.spec.group)
    immutable(errors, "spec.names.plural", new.spec.names.plural, old.spec.names.plural)
    return [*errors, *_approval(new, old)]


def validate_definition_status(new: CustomResourceDefinition) -> Errors:
    """Mistakes in the status."""
    return [
        *_names(new.status.acceptedNames, "status.acceptedNames"),
        *_stored_versions(new.status.storedVersions, new.spec),
    ]


def _joined(errors: Errors, path: str, value: str, messages: Sequence[str], prefix: str = "") -> None:
    if messages:
        errors.append(invalid(path, value, prefix + ",".join(messages)))


def _spec(spec: CustomResourceDefinitionSpec) -> Errors:
    errors: Errors = []
    if not spec.group:
        errors.append(required("spec.group"))
    elif wrong := dns_subdomain_messages(spec.group):
        _joined(errors, "spec.group", spec.group, wrong)
    elif "." not in spec.group:
        errors.append(invalid("spec.group", spec.group, "should be a domain with at least one dot"))
    if not spec.scope:
        errors.append(required("spec.scope"))
    elif spec.scope not in ("Cluster", "Namespaced"):
        errors.append(not_supported("spec.scope", spec.scope, ["Cluster", "Namespaced"]))
    for index, version in enumerate(spec.versions):
        if version.schema is None or version.schema.openAPIV3Schema is None:
            errors.append(required(f"spec.versions[{index}].schema.openAPIV3Schema"))
    patterns = Patterns()
    for index, version in enumerate(spec.versions):
        _joined(errors, f"spec.versions[{index}].name", version.name, dns_1035_label_messages(version.name))
        errors += _version(version, f"spec.versions[{index}]", patterns)
    if len({version.name for version in spec.versions}) != len(spec.versions):
        errors.append(invalid("spec.versions", spec.versions, "must contain unique version names"))
    if sum(version.storage for version in spec.versions) != 1:
        errors.append(invalid("spec.versions", spec.versions, "must have exactly one version marked as storage version"))
    for name in ("plural", "singular", "kind", "listKind"):
        if not getattr(spec.names, name):
            errors.append(required(f"spec.names.{name}"))
    errors += _names(spec.names, "spec.names")
    errors += _conversion(spec.conversion)
    if spec.preserveUnknownFields:
        message = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        errors.append(invalid("spec.preserveUnknownFields", True, message))
    return errors


def _names(names: CustomResourceDefinitionNames, path: str) -> Errors:
    errors: Errors = []
    for name in ("plural", "singular"):
        if value := getattr(names, name):
            _joined(errors, f"{path}.{name}", value, dns_1035_label_messages(value))
    for name in ("kind", "listKind"):
        if value := getattr(names, name):
            message = "may have mixed case, but should otherwise match: "
            _joined(errors, f"{path}.{name}", value, dns_1035_label_messages(value.lower()), message)
    for index, short in enumerate(names.shortNames):
        _joined(errors, f"{path}.shortNames[{index}]", short, dns_1035_label_messages(short))
    if names.kind and names.kind == names.listKind:
        errors.append(invalid(f"{path}.listKind", names.listKind, "kind and listKind may not be the same"))
    for index, category in enumerate(names.categories):
        _joined(errors, f"{path}.categories[{index}]", category, dns_1035_label_messages(category))
    return errors


def _version(version: CustomResourceDefinitionVersion, path: str, patterns: Patterns) -> Errors:
    errors: Errors = []
    warning = version.deprecationWarning
    if warning is not None:
        at = f"{path}.deprecationWarning"
        if not version.deprecated:
            errors.append(invalid(at, warning, "can only be set for deprecated versions"))
        if len(warning.encode()) > 256:
            errors.append(invalid(at, warning, "must be <= 256 characters long"))
        if not warning:
            errors.append(invalid(at, warning, "must not be an empty string"))
        position = next((index for index, character in enumerate(warning) if not character.isprintable()), None)
        if position is not None:
            words = "must only contain printable UTF-8 characters; non-printable character found at index"
            errors.append(invalid(at, warning, f"{words} {position}"))
    scale = None
    status = False
    if version.subresources is not None:
        scale, status = version.subresources.scale, version.subresources.status is not None
    schema: dict[str, Any] = {}
    if version.schema is not None and version.schema.openAPIV3Schema is not None:
        schema = msgspec.json.decode(msgspec.json.encode(version.schema.openAPIV3Schema))
        errors += validate_schema(schema, f"{path}.schema.openAPIV3Schema", patterns, status=status)
    if scale is not None:
        errors += _scale(scale, f"{path}.subresources.scale")
    for index, column in enumerate(version.additionalPrinterColumns):
        errors += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    if version.selectableFields:
        errors += _selectable([field.jsonPath for field in version.selectableFields], schema, f"{path}.selectableFields")
    return errors


def _simple_path(path: str, value: str) -> Errors:
    if not value:
        return [required(path)]
    return [] if value.startswith(".") else [invalid(path, value, "must be a simple json path starting with .")]


def _scale(scale: CustomResourceSubresourceScale, path: str) -> Errors:
    errors: Errors = []
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = getattr(scale, name)
        wrong = _simple_path(f"{path}.{name}", value)
        if not wrong and not value.startswith(root):
            wrong = [invalid(f"{path}.{name}", value, f"should be a json path under {root[:-1]}")]
        errors += wrong
    selector = scale.labelSelectorPath
    if selector:
        wrong = _simple_path(f"{path}.labelSelectorPath", selector)
        if not wrong and not selector.startswith((".spec.", ".status.")):
            wrong = [invalid(f"{path}.labelSelectorPath", selector, "should be a json path under either .spec or .status")]
        errors += wrong
    return errors


def _column(column: CustomResourceColumnDefinition, path: str) -> Errors:
    errors: Errors = []
    if not column.name:
        errors.append(required(f"{path}.name"))
    one_of = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not column.type:
        errors.append(required(f"{path}.type", one_of))
    elif column.type not in _COLUMN_TYPES:
        errors.append(invalid(f"{path}.type", column.type, one_of))
    if column.format and column.format not in _COLUMN_FORMATS:
        errors.append(invalid(f"{path}.format", column.format, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    return [*errors, *_simple_path(f"{path}.JSONPath", column.jsonPath)]


def _selectable(paths: Sequence[str], schema: dict[str, Any], path: str) -> Errors:
    errors: Errors = []
    if not schema:
        return [invalid(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included")]
    seen: set[tuple[str, ...]] = set()
    for index, text in enumerate(paths):
        at = f"{path}[{index}].jsonPath"
        if not text:
            errors.append(required(at))
            continue
        parts = tuple(first or second for first, second in _PART.findall(text))
        field, wrong = _find(parts, text, schema)
        if wrong:
            errors.append(invalid(at, text, f"is an invalid path: {wrong}"))
            continue
        if parts[0] == "metadata":
            errors.append(invalid(at, text, "must not point to fields in metadata"))
        if field.get("type") not in ("string", "boolean", "integer"):
            message = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            errors.append(invalid(at, text, message))
        if parts in seen:
            errors.append(duplicate(at, text))
        seen.add(parts)
    if len(seen) > MAX_SELECTABLE:
        errors.append(too_many(path, len(seen), MAX_SELECTABLE))
    return errors


def _find(parts: Sequence[str], text: str, schema: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The schema of the field at a path, and the mistake in the path."""
    if _SELECTABLE_PATH.fullmatch(text) is None:
        return {}, "does not refer to a valid field" if text.startswith(".") else "expected . or [ but got: " + text[:1]
    for part in parts:
        below = (schema.get("properties") or {}).get(part)
        if below is None and parts[0] == "metadata":
            return {}, ""
        if below is None:
            return {}, "does not refer to a valid field"
        schema = below
    return schema, ""


def _conversion(conversion: CustomResourceConversion | None) -> Errors:
    if conversion is None:
        return []
    path = "spec.conversion"
    if conversion.strategy == "Webhook":
        return [forbidden(f"{path}.strategy", "this server does not call conversion webhooks yet: use None")]
    errors: Errors = []
    if not conversion.strategy:
        errors.append(required(f"{path}.strategy"))
    elif conversion.strategy != "None":
        errors.append(not_supported(f"{path}.strategy", conversion.strategy, ["None", "Webhook"]))
    webhook, message = conversion.webhook, "should not be set when strategy is not set to Webhook"
    if webhook is not None and webhook.clientConfig is not None:
        errors.append(forbidden(f"{path}.webhookClientConfig", message))
    if webhook is not None and webhook.conversionReviewVersions:
        errors.append(forbidden(f"{path}.conversionReviewVersions", message))
    return errors


_SHARED = {
    "schema": "spec.validation",
    "additionalPrinterColumns": "spec.additionalPrinterColumns",
    "subresources": "spec.subresources",
    "selectableFields": "spec.selectableFields",
}


def _shared(errors: Errors, spec: CustomResourceDefinitionSpec) -> Errors:
    """Report mistakes in values that all versions share, and of a single version, once and as of the definition itself."""
    unique: dict[str, FieldError] = {}
    places: dict[str, str] = {}
    for name, place in _SHARED.items():
        first = getattr(spec.versions[0], name) if spec.versions else None
        if first and all(getattr(version, name) == first for version in spec.versions):
            places[name] = place
    for error in errors:
        head, dot, rest = error.field.partition("].")
        name = re.split(r"[.\[]", rest, maxsplit=1)[0]
        if dot and head.startswith("spec.versions[") and name in places:
            error = msgspec.structs.replace(error, field=places[name] + rest[len(name) :])
        unique.setdefault(str(error), error)
    return list(unique.values())


def _stored_versions(stored: Sequence[str], spec: CustomResourceDefinitionSpec) -> Errors:
    path = "status.storedVersions"
    if not stored:
        return [invalid(path, list(stored), "must have at least one stored version")]
    errors: Errors = []
    for version in spec.versions:
        if version.storage and version.name not in stored:
            errors.append(invalid(path, list(stored), f"must have the storage version {version.name}"))
    known = {version.name for version in spec.versions}
    for index, name in enumerate(stored):
        if name not in known:
            message = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage"
                f" migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )
            errors.append(invalid(f"{path}[{index}]", name, message))
    return errors


def _approval(new: CustomResourceDefinition, old: CustomResourceDefinition | None) -> Errors:
    """Groups of the community's own need a word that somebody agreed."""
    if not f".{new.spec.group}".endswith((".k8s.io", ".kubernetes.io")):
        return []
    value = new.metadata.annotations.get(APPROVAL, "")
    if old is not None and old.metadata.annotations.get(APPROVAL, "") == value:
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not value:
        return [required(path, f'protected groups must have approval annotation "{APPROVAL}", {see}')]
    parts = urlsplit(value)
    if value.startswith("unapproved") or (parts.scheme and parts.netloc):
        return []
    message = f'protected groups must have approval annotation "{APPROVAL}" with either a URL or a reason starting with "unapproved", {see}'
    return [invalid(path, value, message)]
