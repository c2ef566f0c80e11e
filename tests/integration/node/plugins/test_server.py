"""Serving an interface on a socket."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest

from tiphys.aio.tasks import cancel_and_wait
from tiphys.csi.pb import registration_pb2 as pb
from tiphys.node.plugins.server import serve


async def info(request: pb.InfoRequest, context: Any) -> pb.PluginInfo:
    return pb.PluginInfo(name="it")


async def test_serves_at_a_path_of_any_length(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 20) / ("longer" * 20)
    await asyncio.to_thread(directory.mkdir, parents=True)
    path, begun = directory / "kubelet.sock", asyncio.Event()
    # What a former process left behind is in nobody's way.
    await asyncio.to_thread(path.touch)
    task = asyncio.create_task(serve(path, "test.Service", {"Info": (info, pb.InfoRequest)}, begun=begun.set))
    await asyncio.wait_for(begun.wait(), 10)
    status = await asyncio.to_thread(path.stat)
    assert (stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o600)
    descriptor = os.open(directory, os.O_PATH)
    async with grpc.aio.insecure_channel(f"unix:///proc/self/fd/{descriptor}/kubelet.sock") as channel:
        method = channel.unary_unary("/test.Service/Info", response_deserializer=pb.PluginInfo.FromString)
        answer = await method(b"", timeout=10)
    os.close(descriptor)
    assert answer.name == "it"
    await cancel_and_wait(task)


async def test_says_where_no_socket_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    await asyncio.to_thread(path.mkdir)
    with pytest.raises(OSError, match="taken"):
        await serve(path, "test.Service", {})
