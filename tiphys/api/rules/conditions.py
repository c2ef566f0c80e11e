"""Validation of `metav1.Condition`s, which many kinds carry in their status ("API Conventions: Typical status properties")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tiphys.api.machinery.errors import duplicate, invalid, not_supported, required, too_long
from tiphys.api.meta.v1 import Condition
from tiphys.api.rules.basics import Errors, label_name

_STATUSES = ("False", "True", "Unknown")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_reason = re.compile(_REASON).fullmatch
_REASON_WRONG = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must"
    " end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB',"
    f" regex used for validation is '{_REASON}')"
)
_MAX_REASON, _MAX_MESSAGE = 1024, 32 * 1024


def conditions(errors: Errors, path: str, values: Sequence[Condition]) -> None:
    """Conditions of different types, each complete."""
    seen: set[str] = set()
    for index, condition in enumerate(values):
        here = f"{path}[{index}]"
        if condition.type in seen:
            errors.append(duplicate(f"{here}.type", condition.type))
        seen.add(condition.type)
        _condition(errors, here, condition)


def _condition(errors: Errors, path: str, condition: Condition) -> None:
    label_name(errors, f"{path}.type", condition.type)
    if condition.status not in _STATUSES:
        errors.append(not_supported(f"{path}.status", condition.status, _STATUSES))
    if condition.observedGeneration < 0:
        errors.append(invalid(f"{path}.observedGeneration", condition.observedGeneration, "must be greater than or equal to zero"))
    if condition.lastTransitionTime is None:
        errors.append(required(f"{path}.lastTransitionTime"))
    if not condition.reason:
        errors.append(required(f"{path}.reason"))
    else:
        if not _reason(condition.reason):
            errors.append(invalid(f"{path}.reason", condition.reason, _REASON_WRONG))
        if len(condition.reason) > _MAX_REASON:
            errors.append(too_long(f"{path}.reason", _MAX_REASON))
    if len(condition.message) > _MAX_MESSAGE:
        errors.append(too_long(f"{path}.message", _MAX_MESSAGE))
