"""Rules that several kinds of `storage.k8s.io` share."""

from __future__ import annotations

from collections.abc import Mapping

from tiphys.api.machinery.errors import invalid, required, too_long
from tiphys.api.machinery.names import qualified_name_messages
from tiphys.api.rules.basics import Errors, text

_MAX_PARAMETERS, MAX_SIZE = 512, 256 * 1024
MAX_MESSAGE, MAX_NODE_ID = 1024, 256


def encoded_size(values: Mapping[str, str]) -> int:
    """Count the bytes of keys and values."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in values.items())


def provisioner(errors: Errors, path: str, name: str) -> None:
    """Validate the name of a provisioner: such as a label key, in any case of letters."""
    if not name:
        errors.append(required(path))
    else:
        text(errors, path, name.lower(), qualified_name_messages(name.lower()))


def parameters(errors: Errors, path: str, values: Mapping[str, str]) -> None:
    """Parameters with keys, neither too many nor too large."""
    if len(values) > _MAX_PARAMETERS:
        errors.append(too_long(path, _MAX_PARAMETERS))
        return
    if "" in values:
        errors.append(invalid(path, "", "field can not be empty."))
    if encoded_size(values) > MAX_SIZE:
        errors.append(too_long(path, MAX_SIZE))
