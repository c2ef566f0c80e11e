"""Negotiation of the streaming protocol of a request, and of its version: the decisions before the 101.

SPDY requests list versions in X-Stream-Protocol-Version, WebSocket requests in Sec-WebSocket-Protocol; the first one of the client that the
server knows wins. Behavior: KEP-4006 and the HTTP stream negotiation of `pods/exec`, `pods/attach` and `pods/portforward`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from enum import Enum

from wsproto.utilities import generate_accept_token

from tiphys.wire import channels
from tiphys.wire.errors import ProtocolError
from tiphys.wire.headers import first, has_token, values

SPDY_31 = "SPDY/3.1"
STREAM_PROTOCOL_HEADER = "X-Stream-Protocol-Version"
ACCEPTED_PROTOCOLS_HEADER = "X-Accepted-Stream-Protocol-Versions"

# The empty name is that of a client that asks for no sub-protocol: it gets the oldest one.
REMOTE_COMMAND_WEBSOCKET = (channels.V5, channels.V4, channels.V3, channels.V1, channels.BASE64_V4, channels.BASE64_V1, "")
REMOTE_COMMAND_SPDY = (channels.V4, channels.V3, "v2.channel.k8s.io", channels.V1)

PORT_FORWARD = "portforward.k8s.io"
PORT_FORWARD_TUNNEL = f"{SPDY_31}+{PORT_FORWARD}"
PORT_FORWARD_CHANNELS = (channels.V4, channels.BASE64_V4, "")

STATUS_ON_ERROR_CHANNEL = frozenset({channels.V5, channels.V4, channels.BASE64_V4})
"""Versions whose error channel carries a Status as JSON; the older ones carry a message, and nothing at all on success."""


class Upgrade(Enum):
    """Upgrade of a connection, as a request asks for it."""

    NONE = "none"
    SPDY = "spdy"
    WEBSOCKET = "websocket"
    OTHER = "other"


def upgrade_kind(headers: list[tuple[str, str]]) -> Upgrade:
    """Read from Connection and Upgrade. `headers` as `headers.pairs` makes them."""
    protocols = values(headers, "upgrade")
    if not protocols or not has_token(headers, "connection", "upgrade"):
        return Upgrade.NONE
    names = {name.lower() for name in protocols}
    if "websocket" in names:
        return Upgrade.WEBSOCKET
    return Upgrade.SPDY if SPDY_31.lower() in names else Upgrade.OTHER


def choose(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """The first offered name that is supported; None when there is none. No offer counts as the empty name."""
    return next((name for name in offered or ("",) if name in supported), None)


def websocket_protocols(headers: list[tuple[str, str]]) -> list[str]:
    """The sub-protocols a WebSocket client offers, best first."""
    return values(headers, "sec-websocket-protocol")


def spdy_protocols(headers: list[tuple[str, str]]) -> list[str]:
    """The versions a SPDY client offers, best first."""
    return values(headers, STREAM_PROTOCOL_HEADER)


def websocket_accept(headers: list[tuple[str, str]]) -> str:
    """The Sec-WebSocket-Accept value for a request. Raises ProtocolError for a bad key or a version other than 13 (RFC 6455, 4.2)."""
    if first(headers, "sec-websocket-version") != "13":
        raise ProtocolError("only WebSocket version 13 is supported")
    key = first(headers, "sec-websocket-key") or ""
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ProtocolError("Sec-WebSocket-Key is not base64") from exc
    if len(decoded) != 16:
        raise ProtocolError("Sec-WebSocket-Key is not 16 bytes long")
    return generate_accept_token(key.encode("ascii")).decode("ascii")
