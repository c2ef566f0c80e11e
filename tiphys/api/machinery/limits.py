"""Limits of objects: how deeply they nest, and how many bytes they have when stored."""

from __future__ import annotations

import re
from itertools import accumulate

from tiphys.api.machinery.errors import BadRequest, StatusError
from tiphys.api.meta.v1.status import StatusCause, StatusDetails

MAX_DEPTH = 200
"""Levels of objects and lists. Every reader and writer recurses (YAML's takes three frames a level), so deeper objects could not
be read in every format. Schemas, the deepest documents in use, stay below 100."""
MAX_BYTES = 1_572_864
"""Bytes of a stored object: etcd's default for a request (`--max-request-bytes`)."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_NOT_OPENING = bytes(sorted(set(range(256)) - set(b"[{")))
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_PIECE = 1 << 16
"""Brackets that are counted in one step: other threads have their turn between two."""
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class ObjectTooLarge(StatusError):
    """The answer of etcd, which upstream passes on without a reason."""

    code, reason = 500, ""

    def __init__(self, field: str = "") -> None:
        details = StatusDetails(causes=[StatusCause(field=field, message="field grew too large by defaulting")]) if field else None
        super().__init__("etcdserver: request is too large", details=details)


def check_depth(data: bytes) -> None:
    """Raise BadRequest for JSON that nests more than MAX_DEPTH levels; takes time linear in its length."""
    if len(data) <= 2 * MAX_DEPTH:
        return
    opened = len(data.translate(None, _NOT_OPENING))
    # Empty ones, of which managedFields are full, add one level at most.
    if opened <= MAX_DEPTH or opened - data.count(b"{}") - data.count(b"[]") < MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    depth = 0
    for start in range(0, len(brackets), _PIECE):
        *_, depth = depths = list(accumulate(map(_STEP.__getitem__, brackets[start : start + _PIECE]), initial=depth))
        if max(depths) > MAX_DEPTH:
            raise too_deep()


def too_deep() -> BadRequest:
    """The error for a document that nests too deeply."""
    return BadRequest(f"the object nests too deeply: at most {MAX_DEPTH} levels of objects and lists are allowed")


def check_stored(data: bytes) -> None:
    """Raise BadRequest or ObjectTooLarge for the JSON of an object that must not be stored."""
    if len(data) > MAX_BYTES:
        raise ObjectTooLarge
    check_depth(data)
