"""The Container Runtime Interface, version 1, over a unix socket: one method per verb.

Methods take and return the messages of `tiphys.node.cri.pb.api_pb2`, or the one field of the answer that carries the meaning. All of
them raise `tiphys.node.cri.errors.CriError` and nothing else (cancellation apart). Nothing is repeated here: whether a request may
be sent again is for the caller to decide. Removing what is gone already succeeds, as the interface promises and containerd does not
always keep.

grpc is imported when the first call is made, because the import costs 10 MB that a node with the hollow runtime never needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tiphys.aio.clock import monotonic
from tiphys.node.cri.errors import CriError, NotFound, Unavailable, from_code
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.metrics.families import OPERATION_ERRORS, operation, operation_type

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

RUNTIME = "/runtime.v1.RuntimeService/"
IMAGES = "/runtime.v1.ImageService/"

DEFAULT_TIMEOUT = 120.0
"""Seconds an answer may take, where the verb says nothing else. Sandboxes wait for the network plugins, which may be slow."""

PULL_TIMEOUT = 1800.0

LONGEST = (1 << 31) - 1
"""Most seconds that a runtime is asked to wait: it counts nanoseconds, and gRPC ends calls at once whose deadline it cannot count."""

_OPTIONS = [
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.enable_http_proxy", 0),
    # A restarted containerd should be noticed at once, not after gRPC's default backoff of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
]


class CriClient:
    """A connection to one CRI runtime; made lazily, shared by all tasks of one event loop.

    `socket_path` may be a path or a `unix://` URL. Close it with `await client.close()`, or use `async with`.
    """

    def __init__(self, socket_path: str | Path, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.socket_path = str(socket_path).removeprefix("unix://")
        self.timeout = timeout
        self._channel: Any = None
        self._methods: dict[str, Any] = {}

    async def __aenter__(self) -> CriClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop the connection; calls under way end with Unavailable. The next call connects again."""
        channel, self._channel = self._channel, None
        self._methods.clear()
        if channel is not None:
            await channel.close()

    # -- the runtime itself

    async def version(self) -> pb.VersionResponse:
        """Name and version of the runtime and of the interface it speaks."""
        return await self._call(RUNTIME + "Version", pb.VersionRequest(version="v1"), pb.VersionResponse, timeout=10)

    async def status(self, *, verbose: bool = False) -> pb.StatusResponse:
        """The conditions RuntimeReady and NetworkReady; `verbose` adds the runtime's configuration as JSON in `info`."""
        return await self._call(RUNTIME + "Status", pb.StatusRequest(verbose=verbose), pb.StatusResponse, timeout=10)

    async def update_runtime_config(self, pod_cidr: str) -> None:
        """Tell the runtime the pod network of this node."""
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=pod_cidr))
        request = pb.UpdateRuntimeConfigRequest(runtime_config=config)
        await self._call(RUNTIME + "UpdateRuntimeConfig", request, pb.UpdateRuntimeConfigResponse)

    async def runtime_config(self) -> pb.RuntimeConfigResponse:
        """Return the configuration of the runtime, with its cgroup driver; Unimplemented before containerd 2.0."""
        return await self._call(RUNTIME + "RuntimeConfig", pb.RuntimeConfigRequest(), pb.RuntimeConfigResponse)

    async def container_events(self) -> AsyncIterator[pb.ContainerEventResponse]:
        """Container creations, starts, stops and deletions as they happen; Unimplemented before containerd 1.7."""
        call = self._method(RUNTIME + "GetContainerEvents", pb.ContainerEventResponse, stream=True)(pb.GetEventsRequest())
        import grpc

        try:
            async for event in call:
                yield event
        except grpc.RpcError as error:
            raise _translated("GetContainerEvents", error) from error
        finally:
            call.cancel()

    # -- pod sandboxes

    async def run_pod_sandbox(self, config: pb.PodSandboxConfig, *, runtime_handler: str = "") -> str:
        """Create and start a pod's sandbox with its network; returns the sandbox's id."""
        request = pb.RunPodSandboxRequest(config=config, runtime_handler=runtime_handler)
        return (await self._call(RUNTIME + "RunPodSandbox", request, pb.RunPodSandboxResponse)).pod_sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in the sandbox and give back its network. Harmless when it is stopped or gone already."""
        request = pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        with suppress(NotFound):
            await self._call(RUNTIME + "StopPodSandbox", request, pb.StopPodSandboxResponse)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox and its containers. Harmless when it is gone already."""
        request = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        with suppress(NotFound):
            await self._call(RUNTIME + "RemovePodSandbox", request, pb.RemovePodSandboxResponse)

    async def pod_sandbox_status(self, sandbox_id: str, *, verbose: bool = False) -> pb.PodSandboxStatusResponse:
        """State, addresses and metadata of a sandbox (`.status`); `verbose` adds the runtime's own view as JSON in `.info`."""
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=verbose)
        return await self._call(RUNTIME + "PodSandboxStatus", request, pb.PodSandboxStatusResponse)

    async def list_pod_sandboxes(
        self, *, sandbox_id: str = "", ready: bool | None = None, labels: Mapping[str, str] | None = None
    ) -> list[pb.PodSandbox]:
        """The sandboxes that match every given condition; `ready` None means in any state."""
        state = None
        if ready is not None:
            state = pb.PodSandboxStateValue(state=pb.SANDBOX_READY if ready else pb.SANDBOX_NOTREADY)
        selected = pb.PodSandboxFilter(id=sandbox_id, state=state, label_selector=dict(labels or {}))
        request = pb.ListPodSandboxRequest(filter=selected)
        return list((await self._call(RUNTIME + "ListPodSandbox", request, pb.ListPodSandboxResponse)).items)

    async def pod_sandbox_stats(self, sandbox_id: str) -> pb.PodSandboxStats:
        """CPU, memory, network and process counts of one sandbox."""
        request = pb.PodSandboxStatsRequest(pod_sandbox_id=sandbox_id)
        return (await self._call(RUNTIME + "PodSandboxStats", request, pb.PodSandboxStatsResponse)).stats

    async def list_pod_sandbox_stats(self, *, labels: Mapping[str, str] | None = None) -> list[pb.PodSandboxStats]:
        """CPU, memory, network and process counts of the sandboxes with these labels."""
        request = pb.ListPodSandboxStatsRequest(filter=pb.PodSandboxStatsFilter(label_selector=dict(labels or {})))
        return list((await self._call(RUNTIME + "ListPodSandboxStats", request, pb.ListPodSandboxStatsResponse)).stats)

    async def port_forward(self, sandbox_id: str, ports: Sequence[int] = ()) -> str:
        """The URL of a stream that reaches ports inside the sandbox's network namespace."""
        request = pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=ports)
        return (await self._call(RUNTIME + "PortForward", request, pb.PortForwardResponse)).url

    # -- containers

    async def create_container(self, sandbox_id: str, config: pb.ContainerConfig, sandbox_config: pb.PodSandboxConfig) -> str:
        """Create a container in a running sandbox; returns its id. NotFound when the image or the sandbox is absent."""
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config)
        return (await self._call(RUNTIME + "CreateContainer", request, pb.CreateContainerResponse)).container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container; Failed, with runc's words, when its command cannot be executed."""
        await self._call(RUNTIME + "StartContainer", pb.StartContainerRequest(container_id=container_id), pb.StartContainerResponse)

    async def stop_container(self, container_id: str, *, grace: int) -> None:
        """Send the stop signal, then SIGKILL after `grace` seconds; returns when the container has stopped."""
        seconds = min(grace, LONGEST)
        request = pb.StopContainerRequest(container_id=container_id, timeout=seconds)
        await self._call(RUNTIME + "StopContainer", request, pb.StopContainerResponse, timeout=self.timeout + seconds)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container, killing it if it runs. Harmless when it is gone already."""
        with suppress(NotFound):
            await self._call(RUNTIME + "RemoveContainer", pb.RemoveContainerRequest(container_id=container_id), pb.RemoveContainerResponse)

    async def container_status(self, container_id: str, *, verbose: bool = False) -> pb.ContainerStatusResponse:
        """State, times (ns since 1970), exit code and reason (`.status`); `verbose` adds pid and more as JSON in `.info`."""
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=verbose)
        return await self._call(RUNTIME + "ContainerStatus", request, pb.ContainerStatusResponse)

    async def list_containers(
        self,
        *,
        container_id: str = "",
        sandbox_id: str = "",
        state: pb.ContainerState | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[pb.Container]:
        """The containers that match every given condition."""
        state_value = None if state is None else pb.ContainerStateValue(state=state)
        selected = pb.ContainerFilter(id=container_id, state=state_value, pod_sandbox_id=sandbox_id, label_selector=dict(labels or {}))
        request = pb.ListContainersRequest(filter=selected)
        return list((await self._call(RUNTIME + "ListContainers", request, pb.ListContainersResponse)).containers)

    async def update_container_resources(self, container_id: str, linux: pb.LinuxContainerResources) -> None:
        """Change the cgroup limits of a created or running container; zero fields are left as they are."""
        request = pb.UpdateContainerResourcesRequest(container_id=container_id, linux=linux)
        await self._call(RUNTIME + "UpdateContainerResources", request, pb.UpdateContainerResourcesResponse)

    async def reopen_container_log(self, container_id: str) -> None:
        """Make a running container reopen its log path, after the file was moved away."""
        request = pb.ReopenContainerLogRequest(container_id=container_id)
        await self._call(RUNTIME + "ReopenContainerLog", request, pb.ReopenContainerLogResponse)

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout: int = 0) -> pb.ExecSyncResponse:
        """Run a command in a container and return its output and exit code; Deadline after `timeout` seconds (0: no limit)."""
        timeout = min(timeout, LONGEST)
        request = pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout)
        # The runtime keeps the command's time and kills it; we allow it a little longer than that to say so.
        limit = timeout + 10.0 if timeout else None
        return await self._call(RUNTIME + "ExecSync", request, pb.ExecSyncResponse, timeout=limit)

    async def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool = True, stderr: bool = True
    ) -> str:
        """The URL of a stream on which a command runs in a container. With `tty`, stderr is part of stdout."""
        request = pb.ExecRequest(container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr and not tty)
        return (await self._call(RUNTIME + "Exec", request, pb.ExecResponse)).url

    async def attach(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool = True, stderr: bool = True) -> str:
        """The URL of a stream joined to the container's main process. With `tty`, stderr is part of stdout."""
        request = pb.AttachRequest(container_id=container_id, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr and not tty)
        return (await self._call(RUNTIME + "Attach", request, pb.AttachResponse)).url

    async def container_stats(self, container_id: str) -> pb.ContainerStats:
        """CPU, memory and writable-layer use of one container."""
        request = pb.ContainerStatsRequest(container_id=container_id)
        return (await self._call(RUNTIME + "ContainerStats", request, pb.ContainerStatsResponse)).stats

    async def list_container_stats(self, *, sandbox_id: str = "", labels: Mapping[str, str] | None = None) -> list[pb.ContainerStats]:
        """CPU, memory and writable-layer use of the containers that match."""
        selected = pb.ContainerStatsFilter(pod_sandbox_id=sandbox_id, label_selector=dict(labels or {}))
        request = pb.ListContainerStatsRequest(filter=selected)
        return list((await self._call(RUNTIME + "ListContainerStats", request, pb.ListContainerStatsResponse)).stats)

    # -- images

    async def list_images(self) -> list[pb.Image]:
        """Every image the runtime holds."""
        return list((await self._call(IMAGES + "ListImages", pb.ListImagesRequest(), pb.ListImagesResponse)).images)

    async def image_status(self, image: str) -> pb.Image | None:
        """Return an image by name or id; None when the runtime does not hold it."""
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image))
        response = await self._call(IMAGES + "ImageStatus", request, pb.ImageStatusResponse)
        return response.image if response.HasField("image") else None

    async def image_details(self, image: str) -> dict[str, str]:
        """Return what the runtime tells of an image besides its status: JSON by topic, {} for an image that it does not hold."""
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image), verbose=True)
        return dict((await self._call(IMAGES + "ImageStatus", request, pb.ImageStatusResponse)).info)

    async def pull_image(self, image: str, *, auth: pb.AuthConfig | None = None, sandbox_config: pb.PodSandboxConfig | None = None) -> str:
        """Fetch an image from its registry; returns the reference to create containers from."""
        request = pb.PullImageRequest(image=pb.ImageSpec(image=image), auth=auth, sandbox_config=sandbox_config)
        return (await self._call(IMAGES + "PullImage", request, pb.PullImageResponse, timeout=PULL_TIMEOUT)).image_ref

    async def remove_image(self, image: str) -> None:
        """Remove an image. Harmless when it is gone already."""
        with suppress(NotFound):
            await self._call(IMAGES + "RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=image)), pb.RemoveImageResponse)

    async def image_fs_info(self) -> pb.ImageFsInfoResponse:
        """Bytes and inodes that images use."""
        return await self._call(IMAGES + "ImageFsInfo", pb.ImageFsInfoRequest(), pb.ImageFsInfoResponse)

    # -- the wire

    def _method(self, path: str, response: type[R], *, stream: bool = False) -> Any:
        method = self._methods.get(path)
        if method is None:
            from grpc import aio

            if self._channel is None:
                self._channel = aio.insecure_channel(f"unix:{self.socket_path}", options=_OPTIONS)
            make = self._channel.unary_stream if stream else self._channel.unary_unary
            method = make(path, request_serializer=_serialize, response_deserializer=response.FromString)
            self._methods[path] = method
        return method

    async def _call(self, path: str, request: Message, response: type[R], *, timeout: float | None = 0.0) -> R:
        """One request, one answer. `timeout` 0 means the client's own, None no limit."""
        method = self._method(path, response)
        import grpc

        count, seconds = operation(path.rpartition("/")[2])
        count.inc()
        started = monotonic()
        try:
            answer: R = await method(request, timeout=self.timeout if timeout == 0.0 else timeout)
        except grpc.RpcError as error:
            OPERATION_ERRORS.labels(operation_type(path.rpartition("/")[2])).inc()
            raise _translated(path.rpartition("/")[2], error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled the caller: close() ended the call, and grpc has no other word for that.
            raise Unavailable(path.rpartition("/")[2], "CANCELLED", "the connection was closed") from error
        finally:
            seconds.observe(monotonic() - started)
        return answer


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _translated(verb: str, error: Any) -> CriError:
    return from_code(verb, error.code().name, error.details() or "")
