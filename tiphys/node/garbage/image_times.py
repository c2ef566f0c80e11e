"""Record on disk of when images came and were last used, so that a restart of the kubelet makes none look younger or unused."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tiphys.node.garbage.image_plan import ImageUse

_Times = dict[str, ImageUse]


class ImageTimes:
    """One small file. Blocking: meant for a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> _Times | None:
        """Return the record; None if there is none, or it is damaged."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Times)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, times: _Times) -> None:
        """Replace the record in one step. Raises OSError."""
        fresh = self._path.with_name(f".{self._path.name}")
        fresh.write_bytes(msgspec.json.encode(times))
        os.replace(fresh, self._path)
