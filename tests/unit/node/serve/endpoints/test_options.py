"""Options of requests to the kubelet: decoded as the API server's, refused with the kubelet's status and words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from tests.unit.node.make import MOMENT
from tiphys.api.machinery.durations import FIRST
from tiphys.node.container.logs import LogOptions
from tiphys.node.serve.endpoints.options import LogRequest, forwarded_ports, log_request, stream_options
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.wire.http import Request

UNREADABLE = (400, '{"message": "Unable to decode query."}')
SENSELESS = (422, '{"message": "Invalid request."}')


def request(query: str, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", "/", parse_qsl(query, keep_blank_values=True), named)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("sinceTime=yesterday", UNREADABLE),
        ("sinceTime=2020-01-01", UNREADABLE),
        ("sinceTime=2020-01-01T00:00:00", UNREADABLE),
        ("tailLines=many", UNREADABLE),
        ("limitBytes=1.5", UNREADABLE),
        ("sinceSeconds=99999999999999999999", UNREADABLE),
        ("tailLines=-1", SENSELESS),
        ("limitBytes=0", SENSELESS),
        ("sinceSeconds=0", SENSELESS),
        ("sinceSeconds=9&sinceTime=2020-01-01T00:00:00Z", SENSELESS),
        ("stream=stdout", SENSELESS),
        ("stream=", SENSELESS),
        ("stream=Stdout&tailLines=1", SENSELESS),
    ],
)
def test_refuses_options_of_a_log(query: str, answer: tuple[int, str]) -> None:
    with pytest.raises(Refusal) as refusal:
        log_request(request(query), MOMENT)
    assert (refusal.value.status, str(refusal.value)) == answer


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", LogRequest(False, False, LogOptions())),
        ("previous&follow=yes&timestamps=1", LogRequest(True, True, LogOptions(timestamps=True))),
        ("previous=0&follow=FALSE&pretty=true&insecureSkipTLSVerifyBackend=true", LogRequest(False, False, LogOptions())),
        ("tailLines=0&limitBytes=1&stream=All", LogRequest(False, False, LogOptions(tail=0, limit=1))),
        ("stream=Stderr", LogRequest(False, False, LogOptions(stream="stderr"))),
        ("sinceSeconds=60", LogRequest(False, False, LogOptions(since=MOMENT - timedelta(minutes=1)))),
        ("sinceSeconds=9000000000000", LogRequest(False, False, LogOptions(since=FIRST))),
        (
            "sinceTime=2020-01-01T01:00:00.5%2B01:00",
            LogRequest(False, False, LogOptions(since=datetime(2020, 1, 1, 0, 0, 0, 500_000, UTC))),
        ),
    ],
)
def test_reads_options_of_a_log(query: str, options: LogRequest) -> None:
    assert log_request(request(query), MOMENT) == options


def test_a_connection_to_a_container_needs_a_stream() -> None:
    options = stream_options(request("command=sh&command=-c&input=1&error=1&tty=true"))
    assert (options.command, options.input, options.output, options.error, options.tty) == (["sh", "-c"], True, False, False, True)
    with pytest.raises(Refusal, match="at least 1 of stdin, stdout, stderr"):
        stream_options(request("error=1&tty=1"))


def test_ports_of_websocket_clients() -> None:
    assert forwarded_ports(request("port=80,81&port=82", upgrade="WebSocket")) == [80, 81, 82]
    assert forwarded_ports(request("", upgrade="SPDY/3.1")) == []
    assert forwarded_ports(request("", upgrade="websocket", sec_websocket_protocol="SPDY/3.1+portforward.k8s.io")) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", 'query parameter "port" is required'),
        ("port=", 'query parameter "port" cannot be empty'),
        ("port=http", 'unable to parse "http" as a port'),
        ("port=80,70000", 'unable to parse "80,70000" as a port'),
        ("port=0", 'port "0" must be > 0'),
    ],
)
def test_refuses_ports(query: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        forwarded_ports(request(query, upgrade="websocket"))
    assert refusal.value.status == 400
