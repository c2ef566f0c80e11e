"""Rules that ConfigMaps and Secrets share."""

from __future__ import annotations

from tiphys.api.core.v1 import ConfigMap, Secret
from tiphys.api.machinery.errors import forbidden, invalid
from tiphys.api.machinery.names import config_key
from tiphys.api.rules.basics import Errors

MAX_DATA = 1024 * 1024
"""Bytes that a ConfigMap or a Secret may carry."""

_FROZEN = "field is immutable when `immutable` is set"


def validate_keys(errors: Errors, path: str, keys: dict[str, str] | dict[str, bytes]) -> int:
    """Keys that may be file names; returns the size of the values in bytes."""
    size = 0
    for key, value in keys.items():
        if message := config_key(key):
            errors.append(invalid(f"{path}[{key}]", key, message))
        size += len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())
    return size


def validate_immutable(new: ConfigMap | Secret, old: ConfigMap | Secret, fields: tuple[str, ...]) -> Errors:
    """Refuse changes of the fields of an immutable object, and of `immutable` itself."""
    errors: Errors = []
    if old.immutable:
        if not new.immutable:
            errors.append(forbidden("immutable", _FROZEN))
        for name in fields:
            if getattr(new, name) != getattr(old, name):
                errors.append(forbidden(name, _FROZEN))
    return errors
