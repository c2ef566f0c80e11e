"""Limits of a server: sizes of requests, and times for which a client may hold a connection without progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes and times in seconds; the defaults are those of the API server."""

    header_bytes: int = 64 << 10
    target_bytes: int = 64 << 10
    """Length of the URL."""
    body_bytes: int = 3 << 20
    head_seconds: float = 30.0
    """Time in which the head of a request has to arrive."""
    request_seconds: float = 120.0
    """The same for a whole request with its body."""
    response_seconds: float = 60.0
    """Time in which a request is to be answered, unless the server's `is_long` excepts it."""
    stall_seconds: float = 60.0
    """Time in which the reader of an answer has to take something of it."""
    idle_seconds: float = 180.0
    """Time for which a connection stays open without a request."""
    pipelined: int = 64
    """Requests that may wait for their turn on one connection: with more, nothing is read from it until some are answered."""
    pipelined_bytes: int = 4 << 20
    """The same for the sum of their bodies."""
    connections: int = 20_000
    """Connections open at a time; the next are cut."""
    at_once: int = 8
    """Requests begun within one callback, outside of any task; a client that pipelines more shares the loop with others. 0 for handlers
    that need a task from their first step (`asyncio.timeout`, task groups)."""
