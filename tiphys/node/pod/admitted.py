"""The node's own record of the pods it has admitted, with the resources it agreed to: one small file in each pod's directory.

Anyone who may write `pods/status` can change a pod's status, so it proves nothing. The record outlives the kubelet and a reboot of the
machine, and goes with the pod's directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiphys.api.core import v1 as core

_FILE = "admitted.json"
_Sizes = dict[str, core.ResourceRequirements]


class Admitted:
    """The record of all pods of a node, below `<root>/pods`."""

    def __init__(self, root: Path) -> None:
        self._pods = root / "pods"

    def read(self, uid: str) -> _Sizes | None:
        """Return the allocation, by container name (`resize.POD`: the pod as a whole); None for a pod that was not admitted."""
        try:
            return msgspec.json.decode((self._pods / uid / _FILE).read_bytes(), type=_Sizes)
        except (OSError, msgspec.DecodeError):
            return None

    async def write(self, uid: str, sizes: Mapping[str, core.ResourceRequirements]) -> None:
        """Record that the pod is admitted with these resources. Raises OSError."""
        await asyncio.to_thread(self._write, uid, msgspec.json.encode(sizes))

    def _write(self, uid: str, data: bytes) -> None:
        directory = self._pods / uid
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        fresh = directory / f".{_FILE}"
        fresh.write_bytes(data)
        fresh.rename(directory / _FILE)
