"""The kubelet's HTTPS server: requests of the API server and of monitoring.

    any       /healthz[/{check}], /metrics, /metrics/cadvisor, /metrics/probes, /metrics/resource, /metrics/slis, /configz
    GET       /pods, /runningpods/                            the pods that the API knows, and those that the runtime runs
    GET       /logs/{path}                                    files of the machine's log directory
    GET       /stats/summary
    GET       /containerLogs/{namespace}/{pod}/{container}    PodLogOptions
    GET|POST  /exec/{namespace}/{pod}[/{uid}]/{container}     command (repeated), input, output, error, tty; upgraded
    GET|POST  /attach/{namespace}/{pod}[/{uid}]/{container}   the same without command
    GET|POST  /portForward/{namespace}/{pod}[/{uid}]          upgraded

Who may call is decided by `endpoints.callers`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from tiphys.aio.certificates import CertificateFiles
from tiphys.aio.duplex import Duplex
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.http.server import Server, server_context
from tiphys.node.container.attach_log import AttachLog, Readers
from tiphys.node.container.log_stream import stream_log
from tiphys.node.container.logs import LogOptions, rotated
from tiphys.node.cri.errors import CriError
from tiphys.node.metrics import families, working
from tiphys.node.metrics.use import NodeUse
from tiphys.node.metrics.volumes import volume_lines
from tiphys.node.mirror.log import daemon_log
from tiphys.node.pod.observed import SeenContainer
from tiphys.node.pod.worker import PodWorker
from tiphys.node.runtime import cgroups
from tiphys.node.serve.endpoints import health, system_logs
from tiphys.node.serve.endpoints.callers import Callers
from tiphys.node.serve.endpoints.configz import configuration
from tiphys.node.serve.endpoints.options import LogRequest, StreamOptions, forwarded_ports, log_request, stream_options
from tiphys.node.serve.endpoints.refusal import Refusal, not_found
from tiphys.node.serve.endpoints.running_pods import pod_list, running_pods
from tiphys.node.serve.limits import LIMITS
from tiphys.node.serve.requests import counted
from tiphys.node.services import NodeServices
from tiphys.obs import metrics as measured
from tiphys.obs.health import Check, HealthMetrics
from tiphys.obs.process import process_lines
from tiphys.wire.headers import pairs
from tiphys.wire.http import Request, Response
from tiphys.wire.negotiate import Upgrade, upgrade_kind

if TYPE_CHECKING:
    from tiphys.node.loop import PodLoop
    from tiphys.node.mirror.part import Part
    from tiphys.node.mirror.publisher import MirrorPods
    from tiphys.node.serve.streaming import CommandStreams

log = logging.getLogger(__name__)

TEXT = {"content-type": "text/plain; charset=utf-8"}
METRICS = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
JSON = {"content-type": "application/json"}


Route = Callable[[Request, list[str]], Awaitable[Response]]
_ANY: Collection[str] = ()
_GET = ("GET",)
_STREAM = ("GET", "POST")

AnyContainer = core.Container | core.EphemeralContainer


class KubeletServer:
    """Answers for one node."""

    def __init__(self, services: NodeServices, loop: PodLoop, mirrors: MirrorPods, checks: Mapping[str, Check]) -> None:
        self.services = services
        self.loop = loop
        self.mirrors = mirrors
        self.checks = checks
        self._slis = HealthMetrics()
        self._readers = Readers(services.clock)
        settings = services.settings
        self.callers = Callers(services.client, services.clock, node=settings.name, trusted=settings.client_names)
        self._use = NodeUse(services)
        assert settings.tls_cert is not None
        assert settings.tls_key is not None
        authorities = [str(settings.client_ca)] if settings.client_ca is not None else []
        context = server_context(str(settings.tls_cert), str(settings.tls_key), *authorities)
        self._files = CertificateFiles(context, cert=settings.tls_cert, key=settings.tls_key, ca=settings.client_ca)
        self.http = Server(self.handle, context=context, limits=LIMITS)
        self.port = settings.port
        self._tasks = TaskSet()
        self._routes: dict[str, tuple[Collection[str], Route]] = {
            "healthz": (_ANY, self._healthz),
            "configz": (_ANY, self._configz),
            "metrics": (_ANY, self._metrics),
            "pods": (_GET, self._pods),
            "runningpods": (_GET, self._running_pods),
            "logs": (_GET, self._system_logs),
            "stats": (_GET, self._stats),
            "containerLogs": (_GET, self._logs),
            "exec": (_STREAM, self._exec),
            "attach": (_STREAM, self._attach),
            "portForward": (_STREAM, self._port_forward),
        }

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self.port = await self.http.start(self.services.settings.bind, self.services.settings.port)
        self._tasks.spawn(self._files.follow(self.services.clock), name="kubelet-certificates")

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self.http.stop(grace=0.0)
        await self._tasks.close()

    async def handle(self, request: Request) -> Response:
        """The answer to any request."""
        request.path = unquote(request.path)
        with counted(request.method, request.path, self._routes):
            return await self._answer(request)

    async def _answer(self, request: Request) -> Response:
        head, *rest = request.path.strip("/").split("/")
        try:
            await self.callers.check(request)
            entry = self._routes.get(head)
            if entry is None:
                raise not_found()
            methods, route = entry
            if methods and request.method not in methods:
                raise Refusal(405, "405: Method Not Allowed")
            return await route(request, rest)
        except Refusal as refusal:
            return Response(status=refusal.status, headers=TEXT, body=str(refusal).encode() + b"\n")
        except CriError as error:
            return Response(status=500, headers=TEXT, body=f"{error}\n".encode())

    async def _healthz(self, request: Request, rest: list[str]) -> Response:
        return health.answer(self.checks, rest, request)

    async def _configz(self, request: Request, rest: list[str]) -> Response:
        _nothing_below(rest)
        return _json(configuration(self.services.settings))

    async def _system_logs(self, request: Request, rest: list[str]) -> Response:
        return await system_logs.answer(self.services.settings.system_logs, request, rest)

    # -- pods and their containers

    async def _pods(self, request: Request, rest: list[str]) -> Response:
        _nothing_below(rest)
        # A static pod stands for itself, its mirror pod for nothing else.
        daemons = [pod for pod in self.mirrors.pods() if self.loop.find(pod.metadata.namespace, pod.metadata.name) is None]
        return _json(pod_list([*self.loop.known_pods(), *daemons]))

    async def _running_pods(self, request: Request, rest: list[str]) -> Response:
        _nothing_below(rest)
        relister = self.services.relister
        return _json(running_pods(relister.get(uid) for uid in relister.uids))

    def _find(self, rest: list[str], *, container: bool) -> tuple[PodWorker, core.Pod, str]:
        """The pod (and container) that a path names."""
        if len(rest) not in ((3, 4) if container else (2, 3)):
            raise not_found()
        namespace, name = rest[0], rest[1]
        if self.mirrors.find(namespace, name) is not None:
            raise Refusal(400, f'pod "{name}" is the mirror pod of a process on the node: exec, attach and port-forward are unavailable')
        worker = self.loop.find(namespace, name)
        uid = rest[2] if len(rest) == (4 if container else 3) else ""
        if worker is None or worker.pod is None or (uid and uid != worker.uid and not self.mirrors.is_mirror_of(worker.pod, uid)):
            raise Refusal(404, f'pod "{name}" not found in namespace "{namespace}"')
        container_name = rest[-1] if container else ""
        spec = worker.pod.spec
        known = [one.name for one in (*spec.containers, *spec.initContainers)] + [one.name for one in spec.ephemeralContainers]
        if container and container_name not in known:
            raise Refusal(404, f'container "{container_name}" not found in pod "{name}"')
        return worker, worker.pod, container_name

    async def _logs(self, request: Request, rest: list[str]) -> Response:
        options = log_request(request, self.services.clock.now())
        if len(rest) == 3 and (part := self.mirrors.find(rest[0], rest[1])) is not None:
            return await self._part_logs(options, part)
        worker, pod, name = self._find(rest, container=True)
        ident = _logged(worker.status, pod, name, previous=options.previous)
        seen = next((one for one in worker.seen.all_of(name) if one.id == ident), None)
        if seen is None or not seen.log_path:
            raise Refusal(400, f'container "{name}" in pod "{pod.metadata.name}" is not available')

        def running() -> bool:
            now = self.services.relister.get(worker.uid)
            return any(one.id == ident and one.state == "running" for one in now.containers)

        path, clock, lines = Path(seen.log_path), self.services.clock, options.lines
        if options.follow or lines != LogOptions():
            return Response(headers=TEXT, stream=stream_log(path, lines, clock=clock, follow=options.follow, running=running))
        return Response(headers=TEXT, stream=self._whole_log(ident, path, running))

    async def _whole_log(self, ident: str, path: Path, running: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The log as it is now; a session that is attached soon goes on where it ends."""
        format_, done = self._readers.counting(ident)
        moved = rotated(path)
        options, clock = LogOptions(), self.services.clock
        async for out in stream_log(path, options, clock=clock, follow=False, running=running, format=format_):
            yield out
        if not moved:
            done()

    async def _part_logs(self, options: LogRequest, part: Part) -> Response:
        run = await asyncio.to_thread(part.read)
        if run is None or run.log is None:
            raise Refusal(400, f"{part.name} writes its log to standard error, not to a file")
        if options.previous:
            raise Refusal(400, f"the log of {part.name} is one file for all its runs: read it without previous")
        log_format, clock = daemon_log(run.started), self.services.clock
        stream = stream_log(run.log, options.lines, clock=clock, follow=options.follow, running=lambda: True, format=log_format)
        return Response(headers=TEXT, stream=stream)

    def _running(self, worker: PodWorker, name: str) -> str:
        seen = worker.seen.latest(name)
        if seen is None or seen.state != "running":
            raise Refusal(500, f'container not found ("{name}")')
        return seen.id

    async def _exec(self, request: Request, rest: list[str]) -> Response:
        worker, _, name = self._find(rest, container=True)
        options = stream_options(request)
        if not options.command:
            raise Refusal(400, "you must specify at least 1 command")
        ident = self._running(worker, name)
        url = await self.services.cri.exec(
            ident, options.command, tty=options.tty, stdin=options.input, stdout=options.output, stderr=options.error
        )
        return self._session(request, url, options)

    async def _attach(self, request: Request, rest: list[str]) -> Response:
        worker, pod, name = self._find(rest, container=True)
        container = _container(pod, name)
        options = _attach_options(request, container)
        seen = worker.seen.latest(name)
        begin = self._readers.begin(seen.id, seen.started) if seen is not None else None
        url = ""
        if seen is None or begin is None or seen.state != "exited":
            ident = self._running(worker, name)
            try:
                url = await self.services.cri.attach(
                    ident, tty=options.tty, stdin=options.input, stdout=options.output, stderr=options.error
                )
            except CriError:
                # It may have ended since it was seen.
                if begin is None or await self._is_running(worker.uid, ident):
                    raise
        assert seen is not None
        return self._attach_session(request, url, container, options, seen, begin)

    def _attach_session(
        self, request: Request, url: str, container: AnyContainer, options: StreamOptions, seen: SeenContainer, begin: int | None
    ) -> Response:
        from tiphys.node.serve.streaming import Attached, serve_attach

        log_file = AttachLog(Path(seen.log_path), begin) if begin is not None and seen.log_path else None
        to_end = not options.input or container.stdinOnce

        def running() -> bool:
            uid = self.services.relister.owner(seen.id) or ""
            return any(one.id == seen.id and one.state == "running" for one in self.services.relister.get(uid).containers)

        attached = Attached(log_file, running, self.services.clock, to_end)
        streams = _streams(options)

        async def serve(connection: Duplex) -> None:
            await serve_attach(connection, request.headers, runtime_url=url, streams=streams, attached=attached)

        return Response(upgrade=serve)

    async def _is_running(self, uid: str, ident: str) -> bool:
        seen = await self.services.relister.refresh(uid)
        return any(one.id == ident and one.state == "running" for one in seen.containers)

    def _session(self, request: Request, url: str, options: StreamOptions) -> Response:
        from tiphys.node.serve.streaming import serve_exec

        streams = _streams(options)

        async def serve(connection: Duplex) -> None:
            await serve_exec(connection, request.headers, runtime_url=url, streams=streams)

        return Response(upgrade=serve)

    async def _port_forward(self, request: Request, rest: list[str]) -> Response:
        from tiphys.node.serve.streaming import serve_port_forward

        ports = forwarded_ports(request)
        worker, pod, _ = self._find(rest, container=False)
        box = worker.seen.sandbox
        if box is None or not box.ready:
            raise Refusal(500, f'sandbox of pod "{pod.metadata.name}" is not running')
        url = await self.services.cri.port_forward(box.id, ports)

        async def serve(connection: Duplex) -> None:
            await serve_port_forward(connection, request.headers, runtime_url=url, ports=ports)

        return Response(upgrade=serve)

    # -- usage

    async def _stats(self, request: Request, rest: list[str]) -> Response:
        if rest != ["summary"]:
            raise not_found()
        brief = ("only_cpu_and_memory", "true") in request.query
        self._measure_sizes()
        return _json(await self._use.summary(brief=brief))

    async def _metrics(self, request: Request, rest: list[str]) -> Response:
        if rest == ["resource"]:
            return Response(headers=METRICS, body=await self._use.resource())
        if rest == ["cadvisor"]:
            self._measure_sizes()
            return Response(headers=METRICS, body=await self._use.cadvisor())
        if rest == ["probes"]:
            return Response(headers=METRICS, body=measured.page(self.services.probes.metrics.lines()))
        if rest == ["slis"]:
            results = {name: check() for name, check in self.checks.items()}
            return Response(headers=METRICS, body=measured.page(self._slis.lines({"healthz": results})))
        if rest:
            raise not_found()
        relister = self.services.relister
        pods = [relister.get(uid) for uid in relister.uids]
        paths = [
            ((pod.uid, pod.namespace, pod.name, one.name), one.log_path) for pod in pods for one in pod.running if one.log_path
        ]  # fmt: skip
        sizes = await asyncio.to_thread(working.log_sizes, paths)
        lines = (
            families.kubelet_lines(self.services.settings.name, pods),
            working.working_lines(self.loop.work(), len(self.mirrors.pods())),
            working.machine_lines(v2=cgroups.is_v2()),
            working.log_lines(sizes),
            self._volume_lines(),
        )
        return Response(headers=METRICS, body=measured.page(*lines, measured.REGISTRY.lines(), process_lines()))

    def _volume_lines(self) -> Iterator[str]:
        persistent = self.services.volumes.persistent
        desired = [entry.record for entry in persistent.records.mounts()]
        yield from volume_lines(self.services.meter.latest(), [record for record, _ in persistent.mounted()], desired)

    def _measure_sizes(self) -> None:
        """Have the sizes measured that only the runtime knows, if that is due; they are in later answers."""
        if self._use.stale:
            self._tasks.spawn(self._use.refresh(), name="kubelet-sizes")


def _nothing_below(rest: list[str]) -> None:
    if rest:
        raise not_found()


def _container(pod: core.Pod, name: str) -> AnyContainer:
    """A container that the pod is known to have."""
    groups: tuple[Sequence[AnyContainer], ...] = (pod.spec.containers, pod.spec.initContainers, pod.spec.ephemeralContainers)
    return next(one for group in groups for one in group if one.name == name)


def _attach_options(request: Request, container: AnyContainer) -> StreamOptions:
    """The requested streams, with a terminal if and only if the container has one.

    SPDY clients open the streams themselves, so the runtime must expect theirs.
    """
    options = stream_options(request)
    if container.tty and upgrade_kind(pairs(request.headers)) is Upgrade.WEBSOCKET:
        return msgspec.structs.replace(options, error=False, tty=True)
    return options


def _streams(options: StreamOptions) -> CommandStreams:
    """Return the streams that a client of exec or attach asks for."""
    from tiphys.node.serve.streaming import CommandStreams

    return CommandStreams(stdin=options.input, stdout=options.output, stderr=options.error, tty=options.tty)


def _json(document: object) -> Response:
    return Response(headers=JSON, body=msgspec.json.encode(document))


def _logged(status: core.PodStatus, pod: core.Pod, name: str, *, previous: bool) -> str:
    """The id of the container whose log is wanted; raises Refusal with the sentence that kubectl shows."""
    where = f'container "{name}" in pod "{pod.metadata.name}"'
    groups = (status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses)
    container_status = next((one for group in groups for one in group if one.name == name), None)
    if container_status is None:
        raise Refusal(400, f"{where} is not available")
    last = container_status.lastState.terminated
    if previous:
        if last is None or not last.containerID:
            raise Refusal(400, f"previous terminated {where.replace(' in pod', ' in pod', 1)} not found")
        return last.containerID.rpartition("/")[2]
    if container_status.state.running is not None:
        return container_status.containerID.rpartition("/")[2]
    if container_status.state.terminated is not None:
        ident = container_status.state.terminated.containerID or (last.containerID if last is not None else "")
        if not ident:
            raise Refusal(400, f"{where} is terminated")
        return ident.rpartition("/")[2]
    if last is not None and last.containerID:
        return last.containerID.rpartition("/")[2]
    waiting = container_status.state.waiting or core.ContainerStateWaiting()
    reason = waiting.reason
    if reason == "ErrImagePull":
        raise Refusal(400, f"{where} is waiting to start: image can't be pulled")
    if reason == "ImagePullBackOff":
        raise Refusal(400, f"{where} is waiting to start: trying and failing to pull image")
    raise Refusal(400, f"{where} is waiting to start: {reason}")
