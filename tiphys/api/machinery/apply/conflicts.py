"""The answer to an apply that would change fields of others: 409 with a cause for every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tiphys.api.machinery.apply.fieldset import describe_path
from tiphys.api.machinery.apply.managers import Manager
from tiphys.api.machinery.errors import Conflict
from tiphys.api.meta.v1 import StatusCause, StatusDetails


class FieldConflict(NamedTuple):
    """A field, and who owns it."""

    manager: Manager
    path: tuple[str, ...]


class ApplyConflict(Conflict):
    """Others own fields that the apply would change."""

    def __init__(self, conflicts: Sequence[FieldConflict]) -> None:
        self.conflicts = tuple(conflicts)
        causes = [
            StatusCause(reason="FieldManagerConflict", message=f"conflict with {_description(one.manager)}", field=describe_path(one.path))
            for one in conflicts
        ]
        super().__init__(_message(conflicts), details=StatusDetails(causes=causes))


def _message(conflicts: Sequence[FieldConflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {_description(only.manager)}: {describe_path(only.path)}"
    fields: dict[Manager, list[str]] = {}
    for one in conflicts:
        fields.setdefault(one.manager, []).append(f"- {describe_path(one.path)}")
    lines = [line for manager, listed in fields.items() for line in (f"conflicts with {_description(manager)}:", *listed)]
    listed = "\n".join(lines)
    return f"Apply failed with {len(conflicts)} conflicts: {listed}"


def _description(manager: Manager) -> str:
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {manager.version}" if manager.operation == "Update" else text
