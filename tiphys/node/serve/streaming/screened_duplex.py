"""The client's side of a SPDY session: all data read from it has passed the screen."""

from __future__ import annotations

from tiphys.aio.duplex import READ_SIZE, Duplex
from tiphys.wire.spdy_screen import SpdyScreen


class ScreenedDuplex:
    """A Duplex whose `read` returns checked frames. Raises ProtocolError where a side breaks the protocol."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._screen = SpdyScreen()

    async def read(self, n: int = READ_SIZE) -> bytes:
        """Frames made of the next `n` bytes: a few bytes more than `n` where they have to be cut."""
        while data := await self._duplex.read(n):
            if frames := self._screen.feed(data):
                return frames
        return b""

    async def write(self, data: bytes) -> None:
        self._screen.answered(data)
        await self._duplex.write(data)

    @property
    def can_half_close(self) -> bool:
        return self._duplex.can_half_close

    def write_eof(self) -> None:
        self._duplex.write_eof()

    def close(self) -> None:
        self._duplex.close()
