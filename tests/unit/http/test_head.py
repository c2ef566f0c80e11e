"""Request targets and response heads."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.http.head import header_name, parse_query, response_head
from tiphys.wire.http import Response


@given(st.text("abc=&%2+;é\x00 ").map(str.encode))
def test_queries_mean_what_the_standard_library_reads(query: bytes) -> None:
    assert list(parse_query(query)) == parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def test_names_are_lower_case_and_remembered_in_bounds() -> None:
    assert header_name(b"Content-TYPE") == "content-type"
    for n in range(5000):
        assert header_name(b"X-%d" % n) == f"x-{n}"
    from tiphys.http import head as http_head

    assert len(http_head._NAMES) <= http_head._MAX_NAMES


def test_a_head() -> None:
    response = Response(404, {"Content-Type": "text/plain"}, repeated=(("Warning", "a"), ("Warning", "b")))
    assert response_head(response, close=True) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\nWarning: a\r\nWarning: b\r\n"
    )
    assert response_head(Response(799), close=False) == b"HTTP/1.1 799 Status\r\n"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "\x00", "\x7f\x1b[31m"])
def test_no_value_ends_its_line(value: str) -> None:
    for response in (Response(200, {"X": value}), Response(200, repeated=(("X", value),))):
        head = response_head(response, close=False)
        assert head.count(b"\r\n") == 2
        assert not any(byte < 0x20 or byte == 0x7F for byte in head.replace(b"\r\n", b""))
