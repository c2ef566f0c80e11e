"""Estimate of a request's work, before it is done: seats, as upstream counts them, and seconds of the event loop."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tiphys.api.machinery.query import flag
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.cache.storage import Storage
from tiphys.apiserver.cache.watchcache import ResourceCache
from tiphys.apiserver.chain.routes import RequestInfo, resolve
from tiphys.wire.http import Request

BYTES_PER_SEAT = 100_000
STREAMED_BYTES = 1_000_000
"""A list is sent in pieces: it never has more than this of memory for itself."""
MOST_SEATS = 100
SAMPLE = 8

READ_SECONDS = 0.00008
WRITE_SECONDS = 0.00015
SEAT_SECONDS = 0.00025
"""Seconds to join, encrypt and send 100 kB."""
SELECT_SECONDS = 0.000002
"""Seconds to look at one object for a selector."""
LONG_RUNNING = frozenset(("attach", "exec", "log", "portforward", "proxy"))
_WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))


class Work(NamedTuple):
    """Expected work of a request: `seats` before its level's limit, and `seconds` of the loop.

    `most` bounds its charge, since waiting for the store does not use the loop.
    """

    seats: int
    seconds: float
    most: float


READ = Work(1, READ_SECONDS, 0.01)
WRITE = Work(1, WRITE_SECONDS, WRITE_SECONDS)
NO_SEATS = Work(0, WRITE_SECONDS, WRITE_SECONDS)
"""Long-running requests hold no seats, but they begin in their turn."""


def is_long_running(request: Request) -> bool:
    """Return whether a request may take as long as its client likes."""
    info = resolve(request)
    return info.verb == "watch" or info.subresource in LONG_RUNNING


def estimate(info: RequestInfo, request: Request, kind: Kind[Any] | None, storage: Storage) -> Work:
    """The work of a request, as known before it is parsed. Watches count as the list that they begin with, if they do."""
    verb = info.verb
    if verb == "get" or not info.is_resource:
        return NO_SEATS if info.subresource in LONG_RUNNING else READ
    if verb in _WRITES:
        return NO_SEATS if info.subresource in LONG_RUNNING else WRITE
    if kind is None or verb not in ("list", "watch") or info.name or "metadata.name=" in request.param("fieldSelector"):
        return READ
    if verb == "watch" and request.param("resourceVersion", "0") != "0" and not flag(request.param("sendInitialEvents", "false")):
        return READ
    cache = storage.find(kind)
    if cache is None:
        return READ
    selects = any(name in ("labelSelector", "fieldSelector") for name, _ in request.query)
    return of_list(cache, info.namespace, _limit(request), selects=selects)


def _limit(request: Request) -> int:
    text = request.param("limit")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def of_list(cache: ResourceCache, namespace: str, limit: int, *, selects: bool) -> Work:
    """The work of a list: by how many objects there are and how large a few of them are."""
    entries = cache.entries(namespace if cache.kind.namespaced else "")
    count = len(entries)
    if not count:
        return READ
    step = max(1, count // SAMPLE)
    sample = entries[::step]
    average = sum(len(entry.data) for entry in sample) / len(sample)
    listed = min(limit, count) if limit else count
    size = listed * average
    seconds = READ_SECONDS + size / BYTES_PER_SEAT * SEAT_SECONDS + (count * SELECT_SECONDS if selects else 0.0)
    return Work(min(MOST_SEATS, max(1, math.ceil(min(size, STREAMED_BYTES) / BYTES_PER_SEAT))), seconds, 8 * seconds)
