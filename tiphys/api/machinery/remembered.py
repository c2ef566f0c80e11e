"""Memory of results that many objects share: those of some kinds, such as pods, come by the hundred from one template.

The functions remembered here are pure, so their answers hold for every object that is alike in the parts they read. Being alike is decided
on the encoded parts, which costs a tenth of the work that it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

MAX_ANSWERS = 512
MAX_KEY_BYTES = 16 << 10
MAX_BYTES = 64 * MAX_KEY_BYTES
"""Bytes of all keys together. Answers are a multiple of their keys in size: a verdict can be a mistake for every few bytes of a spec."""

_encode = msgspec.json.Encoder().encode


class Remembered(Generic[T]):
    """A function of an object that reads only `parts` of it (all). Its answers are shared: they must not be changed."""

    def __init__(self, function: Callable[[Any], T], parts: Callable[[Any], Any] = lambda obj: obj) -> None:
        self._function = function
        self._parts = parts
        self._answers: dict[bytes, T] = {}
        self._bytes = 0

    def __call__(self, obj: Any) -> T:
        return self.sized(obj)[0]

    def sized(self, obj: Any) -> tuple[T, int]:
        """Return the answer, and how many bytes the parts take when encoded."""
        key = _encode(self._parts(obj))
        answer = self._answers.get(key)
        if answer is None:
            answer = self._function(obj)
            if len(key) <= MAX_KEY_BYTES:
                if len(self._answers) >= MAX_ANSWERS or self._bytes + len(key) > MAX_BYTES:
                    self._answers.clear()
                    self._bytes = 0
                self._answers[key] = answer
                self._bytes += len(key)
        return answer, len(key)


def owned_parts(obj: Any) -> Any:
    """Return the parts of a new object that managedFields cover: all but its identity. For kinds of a spec and a status."""
    meta = obj.metadata
    return (obj.spec, obj.status, meta.labels, meta.annotations, meta.ownerReferences, meta.finalizers, meta.generateName)
