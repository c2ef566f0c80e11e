"""Probes of running containers: one task per probe, its verdicts feed readiness and restarts.

See "Configure Liveness, Readiness and Startup Probes". Until a startup probe has passed, the other two do not run; once it has, it never
runs again. A liveness or startup probe that has failed stays so until its container is replaced. A probe that could not be made (no such
command, no port of that name) counts neither way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.container import checks
from tiphys.node.container.checks import Verdict
from tiphys.node.cri.client import CriClient
from tiphys.node.metrics.probes import ProbeMetrics
from tiphys.node.pod.observed import Observed, SeenContainer
from tiphys.node.pod.plan import Verdicts

log = logging.getLogger(__name__)

Kind = Literal["startup", "liveness", "readiness"]
Tell = Callable[[core.Pod, str, str, str, str], None]
"""Records an event: pod, container name, type, reason, message."""


class _Prober:
    """The probes of one container."""

    def __init__(self, pod: core.Pod, container: core.Container, ident: str, started: float, pod_ip: str) -> None:
        self.pod = pod
        self.container = container
        self.ident = ident
        self.started = started
        self.pod_ip = pod_ip
        self.results: dict[Kind, bool] = {}
        self.tasks = TaskSet()
        self.ending = False


class ProbeManager:
    """Runs the probes of every container that is running."""

    def __init__(self, cri: CriClient, clock: Clock, *, on_change: Callable[[str], None], tell: Tell) -> None:
        self.cri = cri
        self.clock = clock
        self._on_change = on_change
        self._tell = tell
        self._probers: dict[str, _Prober] = {}
        self._closing = TaskSet()
        self.metrics = ProbeMetrics()

    def verdicts(self, seen: Observed) -> dict[str, Verdicts]:
        """The verdicts on a pod's containers, by id."""
        result = {}
        for container in seen.containers:
            prober = self._probers.get(container.id)
            if prober is not None:
                results = prober.results
                result[container.id] = Verdicts(results.get("liveness"), results.get("startup"), results.get("readiness"))
        return result

    def sync(self, pod: core.Pod, seen: Observed, *, ip: str, ending: bool = False) -> None:
        """Probe exactly the running containers of a pod; while it is `ending` only their readiness."""
        probed = [container for container in pod.spec.initContainers if is_sidecar(container)] + pod.spec.containers
        alive: set[str] = set()
        for container in probed:
            running = seen.latest(container.name)
            if running is None or running.state != "running" or not _probes(container):
                continue
            alive.add(running.id)
            prober = self._probers.get(running.id)
            if prober is None and not ending:
                self._begin(pod, container, running, ip)
            elif prober is not None:
                prober.pod, prober.ending = pod, ending
        for ident in [one.ident for one in self._probers.values() if one.pod.metadata.uid == pod.metadata.uid]:
            if ident not in alive:
                self._end(ident)

    def forget(self, uid: str) -> None:
        """Stop all probes of a pod."""
        for ident in [one.ident for one in self._probers.values() if one.pod.metadata.uid == uid]:
            self._end(ident)
        self.metrics.forget(uid)

    async def close(self) -> None:
        """Stop all probes."""
        for prober in self._probers.values():
            await prober.tasks.close()
        self._probers.clear()
        await self._closing.close()

    def _begin(self, pod: core.Pod, container: core.Container, running: SeenContainer, ip: str) -> None:
        prober = _Prober(pod, container, running.id, running.started, ip)
        self._probers[running.id] = prober
        prober.tasks.spawn(self._run(prober), name=f"probes of {pod.metadata.namespace}/{pod.metadata.name} {container.name}")

    def _end(self, ident: str) -> None:
        prober = self._probers.pop(ident)
        self._closing.spawn(prober.tasks.close(), name="end probes")

    async def _run(self, prober: _Prober) -> None:
        container = prober.container
        if container.startupProbe is not None:
            await self._loop(prober, "startup", container.startupProbe)
            if not prober.results.get("startup"):
                return
        if container.livenessProbe is not None:
            prober.tasks.spawn(self._loop(prober, "liveness", container.livenessProbe), name=f"liveness {container.name}")
        if container.readinessProbe is not None:
            prober.tasks.spawn(self._loop(prober, "readiness", container.readinessProbe), name=f"readiness {container.name}")

    async def _loop(self, prober: _Prober, kind: Kind, probe: core.Probe) -> None:
        """Probe until there is nothing more to find out."""
        since = self.clock.now().timestamp() - prober.started
        await self.clock.sleep(max(probe.initialDelaySeconds - since, 0.0))
        streak, last = 0, None
        while True:
            if prober.ending and kind != "readiness":
                return
            started = self.clock.monotonic()
            verdict = await self._once(prober, probe)
            if verdict.errored:
                self._say(prober, kind, verdict)
                await self._rest(probe, started)
                continue
            self.metrics.observe(prober.pod, prober.container.name, kind, verdict.ok, self.clock.monotonic() - started)
            streak = streak + 1 if verdict.ok == last else 1
            last = verdict.ok
            if not verdict.ok or verdict.warning:
                self._say(prober, kind, verdict)
            threshold = (probe.successThreshold or 1) if verdict.ok else (probe.failureThreshold or 3)
            if streak >= threshold and not (prober.ending and kind != "readiness"):
                self._record(prober, kind, verdict.ok)
                if (kind == "startup") or (kind == "liveness" and not verdict.ok):
                    return
            await self._rest(probe, started)

    async def _rest(self, probe: core.Probe, started: float) -> None:
        """Until the next probe is due: the period counts from the start of the one before, however long that took."""
        await self.clock.sleep(max(started + (probe.periodSeconds or 10) - self.clock.monotonic(), 0.0))

    def _record(self, prober: _Prober, kind: Kind, ok: bool) -> None:
        if prober.results.get(kind) == ok:
            return
        prober.results[kind] = ok
        self._on_change(prober.pod.metadata.uid)

    def _say(self, prober: _Prober, kind: Kind, verdict: Verdict) -> None:
        reason, result = ("ProbeWarning", "warning") if verdict.ok else ("Unhealthy", "failed")
        if verdict.errored:
            result = "errored and resulted in unknown state"
        self._tell(prober.pod, prober.container.name, "Warning", reason, f"{kind.capitalize()} probe {result}: {verdict.output}")

    async def _once(self, prober: _Prober, probe: core.Probe) -> Verdict:
        timeout = float(probe.timeoutSeconds or 1)
        if probe.exec is not None:
            return await checks.run_command(self.cri, prober.ident, checks.probe_command(prober.container, probe.exec), timeout)
        if probe.httpGet is not None:
            return await checks.http_get(prober.container, probe.httpGet, prober.pod_ip, timeout)
        if probe.tcpSocket is not None:
            return await checks.tcp_connect(prober.container, probe.tcpSocket, prober.pod_ip, timeout)
        if probe.grpc is not None:
            return await checks.grpc_health(probe.grpc, prober.pod_ip, timeout)
        return Verdict(True)


def _probes(container: core.Container) -> bool:
    return any(probe is not None for probe in (container.startupProbe, container.livenessProbe, container.readinessProbe))
