"""containerd's snapshots: read-only views of the file systems of images, through its public gRPC API on the socket of CRI.

A view has the label `containerd.io/gc.root` ("Garbage Collection" in containerd's documentation): it stays, with the layers that it shows,
until it is removed, whatever becomes of its image. Four strings are all that is sent, so the messages are written by hand.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from tiphys.node.cri.errors import CriError, NotFound, from_code
from tiphys.node.runtime.containerd_events import fields

_SERVICE = "/containerd.services.snapshots.v1.Snapshots/"
_ROOT_LABEL = "containerd.io/gc.root"
_SECONDS = 60.0


class SnapshotMount(msgspec.Struct, frozen=True):
    """Arguments of mount(2) that show a snapshot."""

    kind: str
    source: str
    options: tuple[str, ...] = ()


class Snapshots:
    """The snapshots of one containerd in the namespace of CRI."""

    def __init__(self, socket_path: str, snapshotter: str) -> None:
        self._socket = socket_path.removeprefix("unix://")
        self._snapshotter = snapshotter

    async def view(self, key: str, parent: str, *, timestamp: str) -> SnapshotMount:
        """Make a view of the snapshot `parent`; `timestamp` is for people. Raises CriError, AlreadyExists."""
        label = _field(1, _ROOT_LABEL) + _field(2, timestamp)
        request = _field(1, self._snapshotter) + _field(2, key) + _field(3, parent) + _message(4, label)
        return parse_mount(await self._call("View", request))

    async def remove(self, key: str) -> None:
        """Remove a snapshot; one that is gone is removed. Raises CriError."""
        with contextlib.suppress(NotFound):
            await self._call("Remove", _field(1, self._snapshotter) + _field(2, key))

    async def _call(self, verb: str, request: bytes) -> bytes:
        import grpc
        from grpc import aio

        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        channel: Any = aio.insecure_channel(f"unix:{self._socket}", options=options)
        try:
            answer: bytes = await channel.unary_unary(_SERVICE + verb)(
                request, metadata=(("containerd-namespace", "k8s.io"),), timeout=_SECONDS
            )
            return answer
        except grpc.RpcError as error:
            raise from_code(verb, error.code().name, error.details() or "") from error
        finally:
            await channel.close()


def parse_mount(answer: bytes) -> SnapshotMount:
    """Return the mount in an answer. Raises CriError for anything else."""
    try:
        mounts = [value for number, value in fields(answer) if number == 1 and isinstance(value, bytes)]
        (only,) = mounts
        parts = [(number, value.decode()) for number, value in fields(only) if isinstance(value, bytes)]
    except ValueError as error:
        raise CriError("View", "INTERNAL", f"unreadable answer about a snapshot: {error}") from error
    texts = dict(parts)
    return SnapshotMount(texts.get(1, ""), texts.get(2, ""), tuple(value for number, value in parts if number == 4))


def _field(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    result = b""
    while value > 0x7F:
        result += bytes([value & 0x7F | 0x80])
        value >>= 7
    return result + bytes([value])
