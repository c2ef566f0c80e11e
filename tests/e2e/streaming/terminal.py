"""A terminal for kubectl: a pseudo-terminal whose size can change and whose screen is a string."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios


class Terminal:
    """Start programs with `slave` as their stdio; `text` is what they wrote."""

    def __init__(self, rows: int, columns: int) -> None:
        self._master, self.slave = pty.openpty()
        self.text = ""
        self.resize(rows, columns)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def resize(self, rows: int, columns: int, process: asyncio.subprocess.Process | None = None) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if process is not None:
            process.send_signal(signal.SIGWINCH)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.text += os.read(self._master, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self.slave)
