"""The CRI client against a small gRPC server on a real unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from tiphys.node.cri import errors
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb

Answer = Callable[[Any, Any], Awaitable[Any]]


class Runtime(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers the verbs it was given, keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[type[Any], Answer]] = {}
        self.asked: list[Any] = []

    def on(self, path: str, request: type[Any], answer: Answer) -> None:
        self.answers["/runtime.v1." + path] = (request, answer)

    def service(self, details: Any) -> Any:
        if details.method not in self.answers:
            return None
        request, answer = self.answers[details.method]

        async def handle(message: Any, context: Any) -> Any:
            self.asked.append(message)
            return await answer(message, context)

        return grpc.unary_unary_rpc_method_handler(handle, request.FromString, lambda message: message.SerializeToString())


@contextlib.asynccontextmanager
async def serving(runtime: Runtime, socket: Path) -> AsyncIterator[None]:
    server = aio.server()
    server.add_generic_rpc_handlers((runtime,))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    made = Runtime()
    async with serving(made, tmp_path / "cri.sock"):
        yield made


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[CriClient]:
    async with CriClient(tmp_path / "cri.sock") as made:
        yield made


async def test_a_sandbox_request_arrives_whole_and_its_id_comes_back(runtime: Runtime, client: CriClient) -> None:
    async def run(request: pb.RunPodSandboxRequest, _: Any) -> pb.RunPodSandboxResponse:
        return pb.RunPodSandboxResponse(pod_sandbox_id="id-of-" + request.config.metadata.name)

    runtime.on("RuntimeService/RunPodSandbox", pb.RunPodSandboxRequest, run)
    config = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name="web", namespace="default", uid="u1", attempt=2),
        labels={"a": "b"},
        linux=pb.LinuxPodSandboxConfig(cgroup_parent="/kubepods/podu1"),
    )
    assert await client.run_pod_sandbox(config, runtime_handler="runc") == "id-of-web"
    assert runtime.asked[0].config == config
    assert runtime.asked[0].runtime_handler == "runc"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidArgument),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Deadline),
        (grpc.StatusCode.UNKNOWN, errors.Failed),
        (grpc.StatusCode.INTERNAL, errors.Failed),
    ],
)
async def test_each_grpc_status_becomes_an_error_of_ours(
    runtime: Runtime, client: CriClient, code: grpc.StatusCode, expected: type[errors.CriError]
) -> None:
    async def refuse(_: Any, context: Any) -> Any:
        await context.abort(code, "the runtime's words")

    runtime.on("RuntimeService/StartContainer", pb.StartContainerRequest, refuse)
    with pytest.raises(errors.CriError, match="StartContainer: the runtime's words") as caught:
        await client.start_container("c1")
    assert type(caught.value) is expected
    assert caught.value.code == code.name
    assert caught.value.message == "the runtime's words"


async def test_a_verb_the_runtime_does_not_know(runtime: Runtime, client: CriClient) -> None:
    with pytest.raises(errors.Unimplemented):
        await client.runtime_config()
    with pytest.raises(errors.Unimplemented):
        async for _ in client.container_events():
            pass


async def test_no_runtime_is_unavailable_and_it_is_found_once_it_is_there(client: CriClient, tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        await client.version()

    async def version(_: Any, __: Any) -> pb.VersionResponse:
        return pb.VersionResponse(runtime_name="late")

    late = Runtime()
    late.on("RuntimeService/Version", pb.VersionRequest, version)
    async with serving(late, tmp_path / "cri.sock"), asyncio.timeout(10):
        while True:
            with contextlib.suppress(errors.Unavailable):
                assert (await client.version()).runtime_name == "late"
                break
            await asyncio.sleep(0.01)


async def test_an_answer_that_does_not_come_is_a_deadline(runtime: Runtime, tmp_path: Path) -> None:
    released = asyncio.Event()

    async def wait(_: Any, __: Any) -> pb.ListContainersResponse:
        await released.wait()
        return pb.ListContainersResponse()

    runtime.on("RuntimeService/ListContainers", pb.ListContainersRequest, wait)
    async with CriClient(f"unix://{tmp_path}/cri.sock", timeout=0.05) as hasty:
        with pytest.raises(errors.Deadline):
            await hasty.list_containers()
    released.set()


async def test_closing_ends_calls_under_way_as_unavailable(runtime: Runtime, client: CriClient) -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def wait(_: Any, __: Any) -> pb.ListImagesResponse:
        arrived.set()
        await released.wait()
        return pb.ListImagesResponse()

    runtime.on("ImageService/ListImages", pb.ListImagesRequest, wait)
    call = asyncio.ensure_future(client.list_images())
    await arrived.wait()
    await client.close()
    with pytest.raises(errors.Unavailable):
        await call
    released.set()
    assert await client.list_images() == []


async def test_cancelling_the_caller_stays_a_cancellation(runtime: Runtime, client: CriClient) -> None:
    arrived = asyncio.Event()

    async def wait(_: Any, __: Any) -> Any:
        arrived.set()
        await asyncio.Event().wait()

    runtime.on("RuntimeService/StopContainer", pb.StopContainerRequest, wait)
    call = asyncio.ensure_future(client.stop_container("c1", grace=30))
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert runtime.asked[0].timeout == 30


async def test_filters_say_only_what_was_given(runtime: Runtime, client: CriClient) -> None:
    async def pods(_: Any, __: Any) -> pb.ListPodSandboxResponse:
        return pb.ListPodSandboxResponse(items=[pb.PodSandbox(id="s1")])

    async def containers(_: Any, __: Any) -> pb.ListContainersResponse:
        return pb.ListContainersResponse(containers=[pb.Container(id="c1")])

    runtime.on("RuntimeService/ListPodSandbox", pb.ListPodSandboxRequest, pods)
    runtime.on("RuntimeService/ListContainers", pb.ListContainersRequest, containers)
    assert [pod.id for pod in await client.list_pod_sandboxes()] == ["s1"]
    assert not runtime.asked[-1].filter.HasField("state")
    await client.list_pod_sandboxes(ready=True, labels={"k": "v"})
    assert runtime.asked[-1].filter.HasField("state")
    assert runtime.asked[-1].filter.state.state == pb.SANDBOX_READY
    assert dict(runtime.asked[-1].filter.label_selector) == {"k": "v"}
    assert [made.id for made in await client.list_containers(state=pb.CONTAINER_EXITED)] == ["c1"]
    assert runtime.asked[-1].filter.state.state == pb.CONTAINER_EXITED


async def test_an_absent_image_is_none(runtime: Runtime, client: CriClient) -> None:
    async def status(request: pb.ImageStatusRequest, _: Any) -> pb.ImageStatusResponse:
        held = request.image.image == "held"
        return pb.ImageStatusResponse(image=pb.Image(id="sha256:1") if held else None)

    runtime.on("ImageService/ImageStatus", pb.ImageStatusRequest, status)
    assert await client.image_status("absent") is None
    held = await client.image_status("held")
    assert held is not None
    assert held.id == "sha256:1"


async def test_a_terminal_has_no_stderr_of_its_own(runtime: Runtime, client: CriClient) -> None:
    async def answer(_: Any, __: Any) -> pb.ExecResponse:
        return pb.ExecResponse(url="http://127.0.0.1:1/exec/x")

    runtime.on("RuntimeService/Exec", pb.ExecRequest, answer)
    assert await client.exec("c1", ["sh"], tty=True, stdin=True) == "http://127.0.0.1:1/exec/x"
    assert (runtime.asked[-1].tty, runtime.asked[-1].stdout, runtime.asked[-1].stderr) == (True, True, False)
    await client.exec("c1", ["sh"], tty=False, stdin=False)
    assert runtime.asked[-1].stderr


async def test_removing_what_is_gone_succeeds_though_the_runtime_complains(runtime: Runtime, client: CriClient) -> None:
    async def absent(_: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.NOT_FOUND, "not found")

    runtime.on("RuntimeService/StopPodSandbox", pb.StopPodSandboxRequest, absent)
    runtime.on("RuntimeService/RemovePodSandbox", pb.RemovePodSandboxRequest, absent)
    runtime.on("RuntimeService/RemoveContainer", pb.RemoveContainerRequest, absent)
    runtime.on("ImageService/RemoveImage", pb.RemoveImageRequest, absent)
    await client.stop_pod_sandbox("s1")
    await client.remove_pod_sandbox("s1")
    await client.remove_container("c1")
    await client.remove_image("i1")
    assert len(runtime.asked) == 4


@pytest.mark.parametrize(("grace", "timeout"), [(30, 30), (2**62, 2**31 - 1), (2**63, 2**31 - 1)])
async def test_a_grace_that_no_clock_can_hold_is_cut(runtime: Runtime, client: CriClient, grace: int, timeout: int) -> None:
    async def stop(_: Any, __: Any) -> pb.StopContainerResponse:
        return pb.StopContainerResponse()

    runtime.on("RuntimeService/StopContainer", pb.StopContainerRequest, stop)
    await client.stop_container("c1", grace=grace)
    assert runtime.asked[-1].timeout == timeout

    async def run(_: Any, __: Any) -> pb.ExecSyncResponse:
        return pb.ExecSyncResponse()

    runtime.on("RuntimeService/ExecSync", pb.ExecSyncRequest, run)
    await client.exec_sync("c1", ["true"], timeout=grace)
    assert runtime.asked[-1].timeout == timeout
