"""The three patch formats on plain documents, and the way from a PATCH body to a patched document.

The API server calls `apply_patch`; the functions behind it serve anyone who has a document and a patch. Decoding the result into
its type is `tiphys.api.machinery.codec.decode_document`.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.codec import Validation
from tiphys.api.machinery.conform import LIMIT, Node, Walk, may_repeat
from tiphys.api.machinery.errors import BadRequest, UnsupportedMediaType
from tiphys.api.machinery.limits import check_depth
from tiphys.api.machinery.patch.json_patch import json_patch
from tiphys.api.machinery.patch.merge_patch import merge_patch
from tiphys.api.machinery.patch.strategic import strategic_merge

__all__ = [
    "APPLY_PATCH",
    "JSON_PATCH",
    "MERGE_PATCH",
    "STRATEGIC_MERGE_PATCH",
    "Patched",
    "apply_patch",
    "check_format",
    "json_patch",
    "merge_patch",
    "read_patch",
    "strategic_merge",
]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply, which `tiphys.api.machinery.apply` does."""

_OPERATION = frozenset({"op", "path", "from", "value"})


class Patched(NamedTuple):
    """A document after a patch, and what field validation objects to in the patch itself."""

    document: dict[str, Any]
    problems: list[str]


def apply_patch(
    type_: type[msgspec.Struct] | None, document: dict[str, Any], body: bytes, content_type: str, *, validation: Validation = "Ignore"
) -> Patched:
    """Patch a document (in place) with a request body. `type_` guides strategic merges; None serves kinds without a type.

    Raises BadRequest for a body that is no such patch, Invalid when a JSON patch does not apply, UnsupportedMediaType for other formats.
    """
    media = check_format(content_type)
    patch, problems = read_patch(body, validation)
    try:
        return _apply(type_, document, media, patch, problems, validation)
    except RecursionError:
        raise BadRequest("the patched document exceeds the maximal depth") from None


def _apply(
    type_: type[msgspec.Struct] | None, document: dict[str, Any], media: str, patch: Any, problems: list[str], validation: Validation
) -> Patched:
    if media == JSON_PATCH:
        if validation != "Ignore" and isinstance(patch, list):
            problems = [f"json patch {problem}" for problem in (*_unknown_parts(patch), *problems)][:LIMIT]
        return Patched(_object(json_patch(document, patch)), problems)
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: a {media} is an object")
    if media == MERGE_PATCH:
        return Patched(merge_patch(document, patch), problems)
    return Patched(strategic_merge(type_, document, patch), problems)


def check_format(content_type: str, *, typed: bool = True) -> str:
    """The format of a patch; raises UnsupportedMediaType for those that are not done here. Strategic merges need a type (`typed`)."""
    return _format_of((content_type, typed))


@cached()
def _format_of(request: tuple[str, bool]) -> str:
    content_type, typed = request
    media = content_type.partition(";")[0].strip().lower()
    done = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH) if typed else (JSON_PATCH, MERGE_PATCH)
    if media not in done:
        accepted = ", ".join((*done, APPLY_PATCH))
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {accepted}")
    return media


def read_patch(body: bytes, validation: Validation = "Ignore") -> tuple[Any, list[str]]:
    """The JSON of a patch, and with field validation the fields that it repeats. Raises BadRequest."""
    try:
        check_depth(body)
    except BadRequest as error:
        raise BadRequest(f"error decoding patch: {error.message}") from None
    try:
        patch = msgspec.json.decode(body)
        if validation == "Ignore" or not may_repeat(body, patch):
            return patch, []
        walk = Walk()
        return walk.plain(json.loads(body, object_pairs_hook=Node), ""), walk.problems
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"error decoding patch: {str(error).removeprefix('JSON is malformed: ')}") from None
    except RecursionError:
        raise BadRequest("error decoding patch: exceeded max depth") from None


def _unknown_parts(operations: list[Any]) -> list[str]:
    """The fields of operations that mean nothing, no more of them than are reported."""
    unknown = (
        f'unknown field "[{index}].{name}"'
        for index, operation in enumerate(operations)
        if isinstance(operation, dict)
        for name in operation
        if name not in _OPERATION
    )
    return list(islice(unknown, LIMIT))


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise BadRequest("error decoding patch: the patched document is not an object")
    return document
