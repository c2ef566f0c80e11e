"""kubectl exec, attach and cp into real containers, through `node.streaming` and containerd's streaming server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.streaming.pods import Containers
from tests.e2e.streaming.terminal import Terminal
from tests.integration.node.serve.streaming.kubectl import both_upgrades
from tests.integration.node.serve.streaming.neighbors import Front
from tiphys.testing.eventually import eventually
from tiphys.testing.kubectl import Kubectl, end


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    made = Terminal(30, 100)
    yield made
    made.close()


@both_upgrades
async def test_piped_stdin_goes_through_cat_and_ends(containers: Containers, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    payload = os.urandom(3 << 20)
    code, out, err = await kubectl.communicate("exec", "-i", "p", "--", "cat", stdin=payload)
    assert (code, out == payload) == (0, True), err
    assert front.upgrades == [upgrade]


@both_upgrades
async def test_exit_code_and_both_outputs(containers: Containers, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    code, out, err = await kubectl.communicate("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (code, out) == (3, b"out\n")
    assert b"err\n" in err
    assert b"command terminated with exit code 3" in err


@both_upgrades
async def test_command_that_is_not_there(containers: Containers, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    code, _out, err = await kubectl.communicate("exec", "p", "--", "no-such-command")
    assert code != 0
    assert b"no-such-command" in err


@both_upgrades
async def test_big_output_is_whole(containers: Containers, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    code, out, err = await kubectl.communicate("exec", "p", "--", "dd", "if=/dev/zero", "bs=1048576", "count=20")
    assert (code, len(out)) == (0, 20 << 20), err


@both_upgrades
async def test_process_that_ends_while_stdin_flows_keeps_its_output_and_code(
    containers: Containers, kubectl: Kubectl, upgrade: str
) -> None:
    # No more than the pipes inside containerd hold: for more its exec needs the kubelet (`node.unread_stdin`).
    await containers.start("sleep", "1000")
    payload = b"0123456789" * 10_000
    for _ in range(5):
        code, out, err = await kubectl.communicate("exec", "-i", "p", "--", "sh", "-c", "head -c 10; exit 4", stdin=payload)
        assert (code, out) == (4, b"0123456789"), err


async def size_becomes(terminal: Terminal, size: str) -> None:
    """Ask again and again: the size arrives on a stream of its own, and kubectl first sends another one to force a repaint."""

    def asked() -> bool:
        terminal.type("stty size\n")
        return size in terminal.text

    await eventually(asked, interval=0.2)


@both_upgrades
async def test_terminal_has_its_size_and_follows_changes(
    containers: Containers, kubectl: Kubectl, upgrade: str, terminal: Terminal
) -> None:
    await containers.start("sleep", "1000")
    process = await kubectl.start("exec", "-it", "p", "--", "sh", stdio=terminal.slave)
    try:
        await size_becomes(terminal, "30 100")
        terminal.resize(44, 132, process)
        await size_becomes(terminal, "44 132")
        terminal.type("exit 5\n")
        async with asyncio.timeout(30):
            assert await process.wait() == 5
    finally:
        await end(process)


@both_upgrades
async def test_attach_reaches_the_main_process(containers: Containers, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sh", "-c", "read line; echo got $line; read line; echo and $line; sleep 0.5", stdin=True)
    code, out, err = await kubectl.communicate("attach", "-i", "p", stdin=b"one\ntwo\n")
    assert (code, out) == (0, b"got one\nand two\n"), err
    assert "got one" in containers.pod.log("main")


@both_upgrades
async def test_attach_with_a_terminal(containers: Containers, kubectl: Kubectl, upgrade: str, terminal: Terminal) -> None:
    await containers.start("sh", stdin=True, tty=True)
    process = await kubectl.start("attach", "-it", "p", stdio=terminal.slave)
    try:
        terminal.type("echo $((6*7))\n")
        await eventually(lambda: "42" in terminal.text)
        await size_becomes(terminal, "30 100")
        terminal.type("exit 6\n")
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        await end(process)
    # The runtime cannot stop a container in the moment in which it ends by itself.
    assert (await containers.pod.exited(containers.id)).exit_code == 6


@both_upgrades
async def test_copy_there_and_back(containers: Containers, kubectl: Kubectl, upgrade: str, tmp_path: Path) -> None:
    await containers.start("sleep", "1000")
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(2 << 20))
    code, _, err = await kubectl.communicate("cp", str(there), "p:/tmp/file")
    assert code == 0, err
    code, _, err = await kubectl.communicate("cp", "p:/tmp/file", str(back))
    assert code == 0, err
    assert back.read_bytes() == there.read_bytes()


@both_upgrades
async def test_killed_client_ends_the_session_and_frees_stdin(containers: Containers, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    process = await kubectl.start("exec", "-i", "p", "--", "sh", "-c", "echo up; cat; echo done > /tmp/done")
    try:
        async with asyncio.timeout(30):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"up\n"
        process.kill()
        await eventually(lambda: front.finished == 1)

        async def done() -> bool:
            return (await containers.cri.exec_sync(containers.id, ["cat", "/tmp/done"], timeout=10)).stdout == b"done\n"

        await eventually(done)
    finally:
        await end(process)
