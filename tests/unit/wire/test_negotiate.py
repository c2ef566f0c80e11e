import pytest

from tiphys.wire import channels, negotiate
from tiphys.wire.errors import ProtocolError
from tiphys.wire.headers import pairs
from tiphys.wire.negotiate import Upgrade


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ([], Upgrade.NONE),
        ([("Upgrade", "websocket")], Upgrade.NONE),
        ([("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")], Upgrade.WEBSOCKET),
        ([(b"connection", b"Upgrade"), (b"upgrade", b"SPDY/3.1")], Upgrade.SPDY),
        ([("Connection", "Upgrade"), ("Upgrade", "h2c")], Upgrade.OTHER),
    ],
)
def test_upgrade_kind(headers: list[tuple[str, str]], want: Upgrade) -> None:
    assert negotiate.upgrade_kind(pairs(headers)) is want


def test_first_offer_of_the_client_wins() -> None:
    headers = pairs([("X-Stream-Protocol-Version", v) for v in ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io")])
    assert negotiate.choose(negotiate.spdy_protocols(headers), negotiate.REMOTE_COMMAND_SPDY) == channels.V4
    headers = pairs([("Sec-WebSocket-Protocol", "v4.channel.k8s.io, v5.channel.k8s.io")])
    assert negotiate.choose(negotiate.websocket_protocols(headers), negotiate.REMOTE_COMMAND_WEBSOCKET) == channels.V4
    assert negotiate.choose(["v9"], negotiate.REMOTE_COMMAND_WEBSOCKET) is None
    assert negotiate.choose([], negotiate.REMOTE_COMMAND_WEBSOCKET) == ""
    assert negotiate.choose([], negotiate.REMOTE_COMMAND_SPDY) is None


def test_accept_value_of_the_rfc() -> None:
    headers = pairs([("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    assert negotiate.websocket_accept(headers) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        {"Sec-WebSocket-Version": "13"},
        {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhl"},
        {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "€€€"},
        {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "a"},
    ],
)
def test_bad_websocket_requests_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ProtocolError):
        negotiate.websocket_accept(pairs(headers))
