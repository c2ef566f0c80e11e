"""IP forwarding of the machine: on while a cluster needs it, and restored when the last one is purged.

Clusters on one machine share the switch. Each leaves a claim in a directory beside the value that was found; the directory is on a tmpfs,
so a reboot forgets it together with the switch. Where forwarding was on already nothing is written and nothing will be taken back.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

SWITCH = Path("/proc/sys/net/ipv4/ip_forward")
RECORD = Path("/run/tiphys-forwarding")
ORIGINAL = ".found"


def allow(claim: str, *, record: Path = RECORD) -> None:
    """Enable packet forwarding between pods and the network. Idempotent; raises OSError."""
    value = SWITCH.read_text().strip()
    if value == "1":
        if record.is_dir():
            (record / claim).touch()
        return
    record.mkdir(parents=True, exist_ok=True)
    if not (record / ORIGINAL).exists():
        (record / ORIGINAL).write_text(value)
    (record / claim).touch()
    SWITCH.write_text("1")


def release(claim: str, *, record: Path = RECORD) -> None:
    """Release a claim; the last one restores the switch. Raises OSError."""
    (record / claim).unlink(missing_ok=True)
    if not record.is_dir() or any(path.name != ORIGINAL for path in record.iterdir()):
        return
    with contextlib.suppress(FileNotFoundError):
        SWITCH.write_text((record / ORIGINAL).read_text())
        (record / ORIGINAL).unlink()
    record.rmdir()
