"""Checks beyond schemas: items of sets and map lists occur once, embedded objects name their type."""

from __future__ import annotations

from typing import Any

from tiphys.api.custom.coerce import read_metadata
from tiphys.api.custom.structural import Structural
from tiphys.api.machinery import ordered
from tiphys.api.machinery.errors import FieldError, duplicate, invalid, required
from tiphys.api.machinery.names import dns_1035_label_messages, path_segment
from tiphys.api.rules import meta as meta_rules

_encode = ordered.encoder("deterministic")


def validate_lists(value: Any, node: Structural | None, path: str = "") -> list[FieldError]:
    """Items that occur twice in sets and map lists."""
    if node is None or not node.has_lists:
        return []
    errors: list[FieldError] = []
    if isinstance(value, dict):
        for name, item in value.items():
            child = node.properties.get(name)
            if child is not None:
                errors += validate_lists(item, child, f"{path}.{name}" if path else name)
            elif node.additional is not None:
                errors += validate_lists(item, node.additional, f"{path}[{name}]")
    elif isinstance(value, list):
        if node.list_type == "set":
            errors += _repeated(value, value, path)
        elif node.list_type == "map":
            errors += _map_list(value, node, path)
        for index, item in enumerate(value):
            errors += validate_lists(item, node.items, f"{path}[{index}]")
    return errors


def _map_list(value: list[Any], node: Structural, path: str) -> list[FieldError]:
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            return [invalid(f"{path}[{index}]", item, "must be an object for an array of list-type map")]
    keys = [{name: item[name] for name in node.list_keys if item is not None and name in item} for item in value]
    return _repeated(keys, keys, path)


def _repeated(items: list[Any], shown: list[Any], path: str) -> list[FieldError]:
    """One error for the second of equal items, none for further ones."""
    seen: dict[bytes, int] = {}
    errors: list[FieldError] = []
    for index, item in enumerate(items):
        text = _encode(item)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            errors.append(duplicate(f"{path}[{index}]", shown[index]))
    return errors


def validate_embedded(value: Any, node: Structural | None, path: str = "", *, root: bool = False) -> list[FieldError]:
    """Mistakes in the types and metadata of embedded objects."""
    if node is None or not (node.has_embedded or root):
        return []
    errors: list[FieldError] = []
    if isinstance(value, dict):
        if node.embedded or root:
            errors += _embedded(value, path)
        for name, item in value.items():
            child = node.properties.get(name)
            if child is not None:
                errors += validate_embedded(item, child, f"{path}.{name}" if path else name)
            elif node.additional is not None:
                errors += validate_embedded(item, node.additional, f"{path}[{name}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            errors += validate_embedded(item, node.items, f"{path}[{index}]")
    return errors


def _embedded(value: dict[str, Any], path: str) -> list[FieldError]:
    prefix = f"{path}." if path else ""
    errors: list[FieldError] = []
    for name in ("apiVersion", "kind"):
        if name not in value:
            errors.append(required(f"{prefix}{name}"))
        elif not isinstance(value[name], str):
            errors.append(invalid(f"{prefix}{name}", value[name], "must be a string"))
        elif not value[name]:
            errors.append(invalid(f"{prefix}{name}", "", "must not be empty"))
        elif name == "kind" and (wrong := dns_1035_label_messages(value[name].lower())):
            message = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            errors.append(invalid(f"{prefix}kind", value[name], message))
        elif name == "apiVersion" and value[name].count("/") > 1:
            errors.append(invalid(f"{prefix}apiVersion", value[name], f"unexpected GroupVersion string: {value[name]}"))
    if "metadata" in value:
        meta, walk = read_metadata(value["metadata"])
        if walk.mistakes:
            errors.append(invalid(f"{prefix}metadata", value["metadata"], ", ".join(walk.mistakes)))
        else:
            meta.name = meta.name or "fakename"
            mistakes = meta_rules.validate(meta, namespaced=bool(meta.namespace), name_rule=path_segment)
            errors += [FieldError(one.type, f"{prefix}{one.field}", one.detail, one.value) for one in mistakes]
    return errors
