"""JSON patch, RFC 6902, with the texts and the leniencies that clients of Kubernetes know.

Departures from the RFC, kept because upstream has them: `replace` of a missing key of an object adds it, `test` of a missing key against
null succeeds, and negative indices count from the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tiphys.api.machinery.errors import BadRequest, Invalid, TooLarge
from tiphys.api.machinery.plain import copied

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 << 20
"""Maximum growth of the document by `copy` operations of one patch, in bytes of JSON."""


class _Failed(Exception):
    """An operation that does not apply to the document."""


def json_patch(document: Any, operations: Sequence[Any]) -> Any:
    """The document after the operations; it is changed in place, the operations are not.

    Raises BadRequest when the operations are not a patch, TooLarge for too many, Invalid when one does not apply or a `test` fails.
    """
    if not isinstance(operations, list | tuple) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise TooLarge(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}")
    work = _Work(document)
    try:
        for operation in operations:
            work.apply(operation)
    except _Failed as failure:
        # Upstream's answer ends before the colon; saying which operation failed costs nobody anything.
        raise Invalid(f"the server rejected our request due to an error in our request: {failure}") from None
    return work.document


class _Work:
    """A document being patched."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.copied = 0
        self.verbs: dict[str, Callable[[dict[str, Any], str], None]] = {
            "add": self._add,
            "remove": self._remove,
            "replace": self._replace,
            "move": self._move,
            "copy": self._copy,
            "test": self._test,
        }

    def apply(self, operation: dict[str, Any]) -> None:
        name = operation.get("op")
        verb = self.verbs.get(name) if isinstance(name, str) else None
        if verb is None:
            raise _Failed(f"Unexpected kind: {name if isinstance(name, str) else 'unknown'}")
        path = operation.get("path")
        if not isinstance(path, str):
            raise _Failed(f"{name} operation failed to decode path: missing value")
        verb(operation, path)

    def _add(self, operation: dict[str, Any], path: str) -> None:
        parent, key = self._find(path, f'add operation does not apply: doc is missing path: "{path}"')
        _add(parent, key, _value(operation), f"error in add for path: '{path}'")

    def _remove(self, operation: dict[str, Any], path: str) -> None:
        parent, key = self._find(path, f'remove operation does not apply: doc is missing path: "{path}"')
        _remove(parent, key, f"error in remove for path: '{path}'")

    def _replace(self, operation: dict[str, Any], path: str) -> None:
        if path == "":
            value = _value(operation)
            if not isinstance(value, dict | list):
                raise _Failed("replace operation value must be object or array")
            self.document = value
            return
        parent, key = self._find(path, f"replace operation does not apply: doc is missing path: {path}: missing value")
        if isinstance(parent, list):
            _get(parent, key, f"replace operation does not apply: doc is missing key: {path}: missing value")
            parent[_index(key, len(parent), key)] = _value(operation)
        else:
            parent[key] = _value(operation)

    def _move(self, operation: dict[str, Any], path: str) -> None:
        source = _from(operation, "move")
        parent, key = self._find(source, f"move operation does not apply: doc is missing from path: {source}")
        where = f"error in move for path: '{key}'"
        value = _get(parent, key, where)
        _remove(parent, key, where)
        parent, key = self._find(path, f"move operation does not apply: doc is missing destination path: {path}")
        _add(parent, key, value, f"error in move for path: '{path}'")

    def _copy(self, operation: dict[str, Any], path: str) -> None:
        source = _from(operation, "copy")
        parent, key = self._find(source, f"copy operation does not apply: doc is missing from path: {source}")
        value = _get(parent, key, f"error in copy for from: '{source}'")
        parent, key = self._find(path, f"copy operation does not apply: doc is missing destination path: {path}")
        self.copied += len(msgspec.json.encode(value))
        if self.copied > MAX_COPIED_BYTES:
            grown = f"the accumulated size increase of copy is {self.copied}, exceeding the limit {MAX_COPIED_BYTES}"
            raise _Failed(f"Unable to complete the copy, {grown}")
        _add(parent, key, copied(value), "error while adding value during copy")

    def _test(self, operation: dict[str, Any], path: str) -> None:
        if path == "":
            value = self.document
        else:
            parent, key = self._find(path, f"test operation does not apply: is missing path: {path}")
            value = _get(parent, key, f"error in test for path: '{path}'")
        if not same(value, operation.get("value")):
            raise _Failed(f"testing value {path} failed: test failed")

    def _find(self, path: str, missing: str) -> tuple[Any, str]:
        """The object or list that holds the pointer's target, and the last part of the pointer."""
        parts = path.split("/")
        if len(parts) < 2:
            raise _Failed(f"{missing}: missing value")
        here = self.document
        for part in parts[1:-1]:
            try:
                here = _get(here, _unescape(part), missing)
            except _Failed:
                here = None
            if not isinstance(here, dict | list):
                raise _Failed(f"{missing}: missing value")
        return here, _unescape(parts[-1])


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: numbers by value, but a boolean is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    return bool(left == right)


def _value(operation: dict[str, Any]) -> Any:
    return copied(operation.get("value"))


def _from(operation: dict[str, Any], verb: str) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise _Failed(f"{verb} operation failed to decode from: operation, missing from field: missing value")
    return source


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


_INDEX = re.compile("[+-]?[0-9]{1,18}")


def _index(key: str, size: int, where: str) -> int:
    """The position that a pointer part means in a list with that many valid positions."""
    if not _INDEX.fullmatch(key):
        raise _Failed(f"{where}: value was not a proper array index: '{key}'")
    index = int(key)
    if not -size <= index < size:
        raise _Failed(f"{where}: Unable to access invalid index: {index}: invalid index referenced")
    return index if index >= 0 else index + size


def _get(parent: Any, key: str, where: str) -> Any:
    if isinstance(parent, list):
        return parent[_index(key, len(parent), where)]
    return parent.get(key)


def _add(parent: Any, key: str, value: Any, where: str) -> None:
    if isinstance(parent, dict):
        parent[key] = value
    elif key == "-":
        parent.append(value)
    else:
        parent.insert(_index(key, len(parent) + 1, where), value)


def _remove(parent: Any, key: str, where: str) -> None:
    if isinstance(parent, list):
        del parent[_index(key, len(parent), where)]
    elif key in parent:
        del parent[key]
    else:
        raise _Failed(f"{where}: Unable to remove nonexistent key: {key}: missing value")
