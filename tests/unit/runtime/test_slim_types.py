"""Slim types: a field that the whole type does not have, or has as something else, would read as a silent blank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.base import Struct, always
from tiphys.api.meta.v1 import KubeObject
from tiphys.controllers.registry import LOOPS
from tiphys.runtime import Slim
from tiphys.scheduler.slim import NODES, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS

READS: list[Any] = [read for loop in LOOPS for read in loop.declaration.reads]
READS += [NODES, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS]
SLIM: dict[str, Slim[Any]] = {read.of.__name__: read for read in READS if isinstance(read, Slim)}


def _bare(info: Any) -> Any:
    """The type inside lists, options and annotations."""
    while True:
        if isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        elif isinstance(info, msgspec.inspect.ListType):
            info = info.item_type
        elif isinstance(info, msgspec.inspect.UnionType) and len(some := [t for t in info.types if t != msgspec.inspect.NoneType()]) == 1:
            info = some[0]
        else:
            return info


def _is_nullable(info: Any) -> bool:
    return isinstance(info, msgspec.inspect.UnionType) and msgspec.inspect.NoneType() in info.types


def _strays(slim: Any, whole: Any, path: str) -> Iterator[str]:
    """Fields of a slim type that the whole one does not have, or has as something else."""
    if slim == whole:
        return
    if not (isinstance(slim, msgspec.inspect.StructType) and isinstance(whole, msgspec.inspect.StructType)):
        yield path
        return
    known = {field.encode_name: field.type for field in whole.fields}
    null = {field.encode_name for field in whole.fields if _is_nullable(field.type) and field.default_factory is not msgspec.NODEFAULT}
    for field in slim.fields:
        here = f"{path}.{field.encode_name}"
        if field.encode_name not in known:
            yield here
        elif field.encode_name in null and not _is_nullable(field.type):
            yield f"{here} may be null"
        else:
            yield from _strays(_bare(field.type), _bare(known[field.encode_name]), here)


@pytest.mark.parametrize("name", sorted(SLIM))
def test_slim_types_have_the_fields_of_the_whole_ones(name: str) -> None:
    slim = SLIM[name]
    assert list(_strays(msgspec.inspect.type_info(slim.type_), msgspec.inspect.type_info(slim.of), name)) == []
    whole, kind = SCHEME.of(slim.of), slim.kind(SCHEME)
    assert (kind.ident, kind.kind, kind.namespaced) == (whole.ident, whole.kind, whole.namespaced)
    # Events about an object name its type.
    made = slim.type_()
    assert (made.apiVersion or whole.api_version, made.kind or whole.kind) == (whole.api_version, whole.kind)


class _WrongSpec(Struct, forbid_unknown_fields=False):
    nodename: str = ""
    hostname: int = 0


class _Wrong(KubeObject, forbid_unknown_fields=False):
    spec: _WrongSpec = always(_WrongSpec)


def test_a_field_that_does_not_exist_is_found() -> None:
    strays = _strays(msgspec.inspect.type_info(_Wrong), msgspec.inspect.type_info(core.Pod), "Pod")
    assert list(strays) == ["Pod.spec.nodename", "Pod.spec.hostname"]
