"""Lines, events and lenient decoding."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.client.decoding import decode, decode_list, error_of
from tiphys.client.frames import LineReader, decode_frame


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")).filter(bytes.strip)), st.lists(st.integers(1, 20)))
def test_lines_come_out_whole_however_they_are_cut(lines: list[bytes], sizes: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    reader = LineReader()
    out: list[bytes] = []
    for size in [*sizes, len(data)]:
        out += reader.feed(data[:size])
        data = data[size:]
    assert out == lines
    assert reader.pending == 0


def test_a_line_without_end_is_refused() -> None:
    reader = LineReader(limit=10)
    reader.feed(b"12345")
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        reader.feed(b"6789012")


def test_frames_keep_the_object_for_later() -> None:
    frame = decode_frame(b'{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a"}}}')
    assert (frame.type, decode(core.Pod, frame.object).metadata.name) == ("ADDED", "a")


def test_unknown_and_null_fields_of_a_newer_server_are_ignored() -> None:
    body = b"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":null,"labels":{"x":"y"},"novel":1},
        "spec":{"containers":[{"name":"c","novel":{"x":[]},"env":null,"ports":[{"containerPort":80,"novel":2}]}],"nodeName":"n"},
        "status":{"podIPs":null,"novel":[]}}"""
    pod = decode(core.Pod, body)
    assert pod.spec is not None
    assert (pod.metadata.labels, pod.spec.nodeName, pod.spec.containers[0].ports[0].containerPort) == ({"x": "y"}, "n", 80)
    listed = decode_list(core.Pod, b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[' + body + b"]}")
    assert listed.items is not None
    assert listed.items[0] == pod
    assert decode_list(core.Pod, b'{"metadata":{},"items":null}').items is None


@pytest.mark.parametrize("body", [b"[]", b'"pods"', b'{"items":3}', b'{"items":[1]}', b'{"items":[{"metadata":3}]}', b"pods"])
def test_bodies_that_are_no_lists_are_value_errors(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_list(core.Pod, body)
    with pytest.raises(msgspec.ValidationError):
        decode(core.Pod, b'{"metadata":{"name":5}}')


def test_errors_of_all_shapes() -> None:
    status = errors.Conflict.modified("pods", "a").status()
    assert isinstance(error_of(409, msgspec.json.encode(status)), errors.Conflict)
    assert isinstance(error_of(409, b"plain text"), errors.Conflict)
    assert isinstance(error_of(404, b""), errors.NotFound)
    assert isinstance(error_of(403, b"[]"), errors.Forbidden)
    assert error_of(418, b"teapot").message == "teapot"
