"""ConfigMap: defaults, validation, columns and registration."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.data import MAX_DATA, validate_immutable, validate_keys
from tiphys.api.core.v1 import ConfigMap
from tiphys.api.machinery.columns import AGE, NAME, cell
from tiphys.api.machinery.errors import FieldError, invalid
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.rules.basics import Errors


def validate_config_map(config: ConfigMap) -> Errors:
    """Return the mistakes in a config map: keys that are no file names, or too much data ("ConfigMaps")."""
    errors: Errors = []
    size = validate_keys(errors, "data", config.data) + validate_keys(errors, "binaryData", config.binaryData)
    for key in config.data.keys() & config.binaryData.keys():
        errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if size > MAX_DATA:
        errors.append(FieldError("FieldValueTooLong", "", f"may not be more than {MAX_DATA} bytes"))
    return errors


def validate_config_map_update(new: ConfigMap, old: ConfigMap) -> Errors:
    """Refuse changes of an immutable config map ("Immutable ConfigMaps")."""
    return validate_immutable(new, old, ("data", "binaryData"))


class ConfigMapRules(Rules[ConfigMap]):
    validate = staticmethod(validate_config_map)
    validate_update = staticmethod(validate_config_map_update)


COLUMNS = (NAME, Column("Data", cell(lambda obj: len(obj.data) + len(obj.binaryData)), description="How many keys it has."), AGE)

CONFIG_MAPS: Kind[core.ConfigMap] = Kind(
    type=core.ConfigMap, plural="configmaps", rules=ConfigMapRules(), columns=COLUMNS, short_names=("cm",)
)
