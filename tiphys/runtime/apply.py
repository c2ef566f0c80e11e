"""Read-modify-write of an object, repeated when somebody else wrote in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from tiphys.aio.backoff import BackoffPolicy
from tiphys.api.machinery.errors import Conflict
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.runtime.key import Key

T = TypeVar("T", bound=KubeObject)
S = TypeVar("S", bound=msgspec.Struct)

TRIES = 5
PAUSE = BackoffPolicy(first=0.01, cap=1.0, factor=2.0, jitter=0.5)


def copied(obj: S) -> S:
    """Return an independent copy of an object, such as one from an informer, or of a part of it."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=type(obj))


async def update_with_retry(
    client: Client,
    type_: type[T] | Kind[T],
    key: Key,
    mutate: Callable[[T], bool | None],
    *,
    subresource: str = "",
    tries: int = TRIES,
) -> T:
    """Read the object at `key`, let `mutate` change it in place and write it back, up to `tries` times while it meets conflicts.

    When `mutate` returns False nothing is written. Returns the object as the server has it now. Raises NotFound when it is not there,
    the last Conflict when the tries are used up, and whatever else the server answers.
    """
    kind = client.kind_of(type_)
    for number in range(tries):
        obj = await client.get(kind, key.name, key.namespace)
        if mutate(obj) is False:
            return obj
        try:
            return await client.update(obj, kind=kind, subresource=subresource)
        except Conflict:
            if number == tries - 1:
                raise
        await client.clock.sleep(PAUSE.delay(number, client.rng))
    raise ValueError("tries must be at least 1")
