"""Reading a manifest from a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiphys.node.static.manifest import MAX_BYTES

SECONDS = 10.0
"""Time for one answer, as upstream."""


class Unavailable(Exception):
    """The URL gave no manifest; says why."""


async def fetch(url: str, headers: Mapping[str, Sequence[str]]) -> bytes:
    """Return what the URL serves. Raises Unavailable."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=SECONDS)
    pairs = [(name, value) for name, values in headers.items() for value in values]
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=pairs) as response:
            if response.status != 200:
                raise Unavailable(f"the server answered {response.status} {response.reason or ''}".strip())
            data = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise Unavailable(f"the answer is larger than {MAX_BYTES >> 20} MiB")
            return bytes(data)
    except TimeoutError as error:
        raise Unavailable(f"no answer within {SECONDS:.0f} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unavailable(str(error) or type(error).__name__) from error
