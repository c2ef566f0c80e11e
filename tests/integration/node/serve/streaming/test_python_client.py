"""The official Python client: WebSocket version 4, and port-forward with two channels per port."""

import asyncio
import gc
import threading
import warnings
from typing import Any

import kubernetes
import pytest

from tests.integration.node.serve.streaming.neighbors import FakeRuntime, Front, Session

FAILURE = b'{"metadata":{},"status":"Failure","message":"command terminated with exit code 3","reason":"NonZeroExitCode",'
FAILURE += b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'


@pytest.fixture
def core(front: Front) -> Any:
    configuration = kubernetes.client.Configuration()
    configuration.host = f"http://127.0.0.1:{front.port}"
    return kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))


async def test_exec_with_stdin_and_exit_code(runtime: FakeRuntime, core: Any) -> None:
    async def program(session: Session) -> None:
        await session.streams(4)
        line = await session.read("stdin")
        assert line is not None
        await session.write("stdout", line.upper())
        await session.write("stderr", b"oops")
        await session.exit(FAILURE)

    runtime.programs["main"] = program

    def use() -> tuple[str, str, int]:
        from kubernetes.stream import stream

        flags = {"stdin": True, "stdout": True, "stderr": True, "tty": False}
        ws = stream(core.connect_get_namespaced_pod_exec, "p", "default", command=["x"], _preload_content=False, **flags)
        ws.write_stdin("hello\n")
        ws.run_forever(timeout=30)
        answer = ws.read_stdout(), ws.read_stderr(), ws.returncode
        ws.sock.shutdown()  # it leaves its socket open, also in `close`
        return answer

    assert await asyncio.to_thread(use) == ("HELLO\n", "oops", 3)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaks its sockets
async def test_port_forward(runtime: FakeRuntime, core: Any) -> None:
    async def program(session: Session) -> None:
        await session.streams(2)
        while (data := await session.read("data", "0")) is not None:
            await session.write("data", data.upper(), "0")

    runtime.programs["main"] = program

    def use() -> bytes:
        from kubernetes.stream import portforward

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            forward = portforward(core.connect_get_namespaced_pod_portforward, "p", "default", ports="80")
            sock = forward.socket(80)
            sock.sendall(b"hello")
            got = b""
            while len(got) < 5:
                got += sock.recv(100)
            sock.close()
            forward.close()
        for thread in threading.enumerate():
            if thread.name.startswith("Kubernetes port forward proxy"):
                thread.join(30)  # it holds the connection
        return got

    assert await asyncio.to_thread(use) == b"HELLO"
    gc.collect()  # so that the client's leak is not blamed on another test
