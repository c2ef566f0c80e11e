import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire.errors import ProtocolError
from tiphys.wire.http_upgrade import MAX_ANSWER, Answer, AnswerReader, request_head, response_head

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
)


def read(wire: bytes, step: int) -> Answer | None:
    reader = AnswerReader()
    for start in range(0, len(wire), step):
        answer = reader.feed(wire[start : start + step])
        if answer is not None:
            return Answer(answer.status, answer.headers, answer.rest + wire[start + step :])
    return None


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_after_a_101_belong_to_the_new_protocol(step: int) -> None:
    answer = read(SWITCH + b"\x80\x03spdy", step)
    assert answer is not None
    assert answer.is_upgraded
    assert dict(answer.headers)["x-stream-protocol-version"] == "v4.channel.k8s.io"
    assert answer.rest == b"\x80\x03spdy"


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nContent-Type: text/plain\r\n\r\nnot found",
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n6\r\n found\r\n0\r\n\r\n",
    ],
)
def test_refusals_come_with_their_body(wire: bytes, step: int) -> None:
    answer = read(wire, step)
    assert answer is not None
    assert (answer.status, answer.is_upgraded, answer.rest) == (404, False, b"not found")


def test_body_without_length_ends_with_the_connection() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 500 Oops\r\n\r\nbro") is None
    assert reader.feed(b"ken") is None
    assert reader.finish().rest == b"broken"
    with pytest.raises(ProtocolError):
        AnswerReader().finish()


def test_endless_answers_are_refused() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 500 Oops\r\n\r\n")
    for _ in range(MAX_ANSWER // 1000 - 1):
        assert reader.feed(b"x" * 1000) is None
    with pytest.raises(ProtocolError, match="larger"):
        reader.feed(b"x" * 2000)


@given(st.binary(max_size=100))
def test_garbage_raises_only_protocol_errors(garbage: bytes) -> None:
    reader = AnswerReader()
    try:
        if reader.feed(garbage) is None:
            reader.finish()
    except ProtocolError:
        pass


def test_heads() -> None:
    assert request_head("POST", "/exec/t", [("Host", "a")]) == b"POST /exec/t HTTP/1.1\r\nHost: a\r\n\r\n"
    assert response_head(101, [("Upgrade", "x")]) == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    with pytest.raises(ValueError, match="line break"):
        response_head(200, [("a", "b\r\nc: d")])
