"""Record of the last shutdown, which the next kubelet shows in its metrics."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

FILE = "graceful_node_shutdown_state"


class ShutdownState(msgspec.Struct, frozen=True, rename="camel"):
    """Start and end of the last graceful shutdown, as far as there was one."""

    start_time: datetime | None = None
    end_time: datetime | None = None


def load(root: Path) -> ShutdownState:
    """Return the record, an empty one if there is none that can be read."""
    try:
        return msgspec.json.decode((root / FILE).read_bytes(), type=ShutdownState)
    except (OSError, msgspec.DecodeError):
        return ShutdownState()


def store(root: Path, state: ShutdownState) -> None:
    """Write the record. Raises OSError."""
    fresh = root / f".{FILE}"
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.rename(root / FILE)
