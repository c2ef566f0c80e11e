import asyncio
import socket
from collections.abc import Iterator

import pytest

from tiphys.node.serve.streaming.socket_duplex import SocketDuplex, connect_socket


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


async def test_data_before_a_reset_can_be_read_after_a_failed_write(listener: socket.socket) -> None:
    duplex = await connect_socket(*listener.getsockname())
    peer, _ = await asyncio.to_thread(listener.accept)
    peer.setblocking(False)
    await duplex.write(b"never read")
    peer.sendall(b"exit code 3")
    peer.close()
    with pytest.raises(OSError):  # noqa: PT012 - the reset shows in the second write at the latest
        for _ in range(100):
            await duplex.write(b"more")
            await asyncio.sleep(0)
    assert await duplex.read() == b"exit code 3"
    duplex.close()


async def test_writes_of_several_tasks_do_not_mix(listener: socket.socket) -> None:
    duplex = await connect_socket(*listener.getsockname())
    peer, _ = await asyncio.to_thread(listener.accept)
    peer.setblocking(False)
    other = SocketDuplex(peer)
    size = 3 << 20
    writers = [asyncio.ensure_future(duplex.write(bytes([i]) * size)) for i in range(3)]
    got = b""
    while len(got) < 3 * size:
        got += await other.read(1 << 20)
    await asyncio.gather(*writers)
    assert got == b"".join(bytes([i]) * size for i in range(3))
    duplex.write_eof()
    assert await other.read() == b""
    await other.write(b"still open this way")
    assert await duplex.read() == b"still open this way"
    duplex.close()
    other.close()


async def test_pushed_back_bytes_come_first(listener: socket.socket) -> None:
    duplex = await connect_socket(*listener.getsockname())
    peer, _ = await asyncio.to_thread(listener.accept)
    peer.setblocking(False)
    peer.sendall(b"late")
    duplex.push_back(b"early")
    assert [await duplex.read(2), await duplex.read(), await duplex.read()] == [b"ea", b"rly", b"late"]
    duplex.close()
    peer.close()
