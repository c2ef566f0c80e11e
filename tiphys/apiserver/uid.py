"""UIDs of objects and tokens: unguessable and unique over all servers, so they come from the system's randomness."""

from __future__ import annotations

from os import register_at_fork, urandom

_RANDOM_BYTES = 16 * 64
_digits: list[str] = []
"""Random digits for UIDs to come, which a forked process must not share."""
register_at_fork(after_in_child=_digits.clear)
_VARIANT = {digit: "89ab"[number % 4] for number, digit in enumerate("0123456789abcdef")}
"""The variant digit of a UID, by the random digit in its place."""


def new_uid() -> str:
    """A random UID (RFC 9562, version 4), in a third of the time that `uuid.uuid4` takes."""
    if not _digits:
        text = urandom(_RANDOM_BYTES).hex()  # A system call takes as long as all the rest.
        _digits.extend([text[start : start + 32] for start in range(0, len(text), 32)])
    digits = _digits.pop()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
