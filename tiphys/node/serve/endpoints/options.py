"""Options of requests to the kubelet, decoded as the API server decodes its own (`tiphys.api.machinery.query`).

The kubelet's names differ where a connection to a container is concerned: `input`, `output` and `error` stand for the three streams.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from tiphys.api.core.pods.log_options import log_errors
from tiphys.api.core.v1.options import PodLogOptions
from tiphys.api.machinery.base import Struct
from tiphys.api.machinery.durations import later
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.query import decode_query
from tiphys.node.container.logs import LogOptions
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.wire.http import Request

_MAX_PORT = 65535
_TUNNEL = "SPDY/3.1+portforward.k8s.io"


class LogRequest(NamedTuple):
    """A request for a log: which run's, how long, which lines."""

    previous: bool
    follow: bool
    lines: LogOptions


class StreamOptions(Struct):
    """Parameters of exec and attach."""

    command: list[str] = msgspec.field(default_factory=list)
    """The command and its arguments; not for attach."""
    input: bool = False
    """True if the client writes to stdin."""
    output: bool = False
    """True if the client reads stdout."""
    error: bool = False
    """True if the client reads stderr; a terminal has none."""
    tty: bool = False
    """True if the streams are those of a terminal."""


def log_request(request: Request, now: datetime) -> LogRequest:
    """The options of a log; raises Refusal: 400 for unreadable ones, 422 for invalid ones."""
    try:
        options = decode_query(PodLogOptions, request.query)
    except BadRequest:
        raise Refusal(400, '{"message": "Unable to decode query."}') from None
    if log_errors(options):
        raise Refusal(422, '{"message": "Invalid request."}')
    since: datetime | None = options.sinceTime
    if options.sinceSeconds is not None:
        since = later(now, -options.sinceSeconds)
    stream = {"Stdout": "stdout", "Stderr": "stderr"}.get(options.stream or "", "")
    lines = LogOptions(options.tailLines, since, options.timestamps, options.limitBytes, stream)
    return LogRequest(options.previous, options.follow, lines)


def stream_options(request: Request) -> StreamOptions:
    """The options of an exec or attach; raises Refusal when no stream is wanted."""
    options = decode_query(StreamOptions, request.query)
    if options.tty:
        options.error = False
    if not (options.input or options.output or options.error):
        raise Refusal(400, "you must specify at least 1 of stdin, stdout, stderr")
    return options


def forwarded_ports(request: Request) -> list[int]:
    """The ports that a WebSocket client names; raises Refusal. With SPDY, also inside a WebSocket, each stream names its own."""
    if request.headers.get("upgrade", "").lower() != "websocket" or _TUNNEL in request.headers.get("sec-websocket-protocol", ""):
        return []
    named = [value for key, value in request.query if key == "port"]
    if not named:
        raise Refusal(400, 'query parameter "port" is required')
    return [_port(part, text) for text in named for part in text.split(",")]


def _port(part: str, text: str) -> int:
    if not text:
        raise Refusal(400, 'query parameter "port" cannot be empty')
    if not (part.isascii() and part.isdigit()):
        raise Refusal(400, f'unable to parse "{text}" as a port: strconv.ParseUint: parsing "{part}": invalid syntax')
    if len(part) > 5 or int(part) > _MAX_PORT:
        raise Refusal(400, f'unable to parse "{text}" as a port: strconv.ParseUint: parsing "{part}": value out of range')
    if int(part) < 1:
        raise Refusal(400, f'port "{text}" must be > 0')
    return int(part)
