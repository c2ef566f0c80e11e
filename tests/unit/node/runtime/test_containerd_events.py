"""Events from containerd."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tiphys.node.runtime.containerd_events import End, ended


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_the_end_of_a_main_process_is_told_from_that_of_an_exec() -> None:
    def envelope(container: bytes, process: bytes) -> bytes:
        exit_ = field(1, container) + field(2, process) + b"\x18\x2a"
        return field(2, b"k8s.io") + field(3, b"/tasks/exit") + field(4, field(1, b"type") + field(2, exit_))

    assert ended(envelope(b"abc", b"abc")) == End("abc")
    assert ended(envelope(b"abc", b"exec-1")) == End("abc", "exec-1")
    assert ended(field(3, b"/x")) is None


@given(st.binary(max_size=40))
def test_malformed_events_do_no_harm(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        ended(data)
