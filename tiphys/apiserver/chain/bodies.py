"""YAML bodies are parsed before their verb runs, in turns of the event loop: one piece of one body in each.

The parser takes a microsecond and more for each value, so a body of the largest size would hold everybody up for seconds. JSON is decoded
a hundred times as fast and has no part in this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from tiphys.api.machinery.codec import JSON, YAML
from tiphys.api.machinery.patch import APPLY_PATCH
from tiphys.api.machinery.yamldoc import Parsed, YAMLError, parse
from tiphys.apiserver.chain.aside import LARGE
from tiphys.wire.http import Request


def is_yaml(request: Request) -> bool:
    """True if the body of a request is to be parsed here."""
    media = request.headers.get("content-type", JSON)
    if media == JSON or media.partition(";")[0].strip().lower() not in (YAML, APPLY_PATCH):
        return False
    # JSON most likely, which is decoded in one go: aside, as any large body.
    return not (len(request.body) > LARGE and request.body.lstrip(b" \t\r\n").startswith(b"{"))


class Bodies:
    """The YAML bodies of a server that are being parsed."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def parse(self, request: Request) -> Parsed | YAMLError:
        """The document in the body of a request, or the reason why there is none."""
        steps = parse(request.body)
        parsed = _advance(steps)
        while parsed is None:
            async with self._turn:
                await asyncio.sleep(0)
                parsed = _advance(steps)
        return parsed


def _advance(steps: Generator[None, None, Parsed]) -> Parsed | YAMLError | None:
    """The outcome, or None while there is more to parse."""
    try:
        next(steps)
    except StopIteration as end:
        parsed: Parsed = end.value
        return parsed
    except YAMLError as error:
        return error
    return None
