"""Containers of one hollow pod: what a runtime would show of them, as a function of time. Pure.

The plan and the status of the pod come from the same modules as on a real node; this stands in for containerd.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.hollow.behavior import Behavior
from tiphys.node.pod.backoff import Backoff, backoff_key
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox, ordered
from tiphys.node.pod.plan import Plan, Start, Stop, Verdicts, find_container

OOM = (137, "OOMKilled")
KILLED = 137


class End(NamedTuple):
    """Moment and manner of a container's end."""

    at: float
    exit_code: int
    reason: str = ""


class HollowContainers:
    """Sandbox and containers of one pod. Times are seconds since 1970."""

    def __init__(self, pod: core.Pod, behavior: Behavior, ip: str) -> None:
        self.behavior = behavior
        self.backoffs: dict[str, Backoff] = {}
        self._meta = pod.metadata
        self._ip = ip
        self._boxes: list[SeenSandbox] = []
        self._containers: dict[str, SeenContainer] = {}
        self._ends: dict[str, End] = {}
        self._starting: dict[str, tuple[float, Start]] = {}
        """Starts under way, by name, with the moment at which the container runs."""
        self._adopt(pod)

    def _adopt(self, pod: core.Pod) -> None:
        """Take over what an earlier process showed of the pod."""
        statuses = (*pod.status.initContainerStatuses, *pod.status.containerStatuses)
        known = [one for one in statuses if one.state.running is not None or one.state.terminated is not None]
        if not known:
            return
        box = SeenSandbox(f"{self._meta.uid}-0", 0, True, ips=(self._ip,) if self._ip else ())
        self._boxes.append(box)
        for one in known:
            ended, running = one.state.terminated, one.state.running
            begun = ended.startedAt if ended is not None else running.startedAt if running is not None else None
            started = begun.timestamp() if begun is not None else 0.0
            seen = self._container(one.name, one.restartCount, started, one.image, box)
            if ended is not None:
                finished = ended.finishedAt.timestamp() if ended.finishedAt is not None else started
                seen = _ended(seen, End(finished, ended.exitCode, ended.reason))
            else:
                self._schedule_end(pod, seen)
            self._containers[seen.id] = seen

    def _container(self, name: str, attempt: int, started: float, image: str, box: SeenSandbox) -> SeenContainer:
        return SeenContainer(
            id=f"{self._meta.uid}-{name}-{attempt}",
            name=name,
            attempt=attempt,
            state="running",
            sandbox=box.id,
            created=started,
            started=started,
            image=image,
            image_ref=image,
        )

    # -- what it shows

    def observed(self) -> Observed:
        """Return what the runtime shows now; call `advance` before."""
        return ordered(self._meta.uid, self._meta.namespace, self._meta.name, self._boxes, list(self._containers.values()))

    def verdicts(self, now: float) -> dict[str, Verdicts]:
        """Return the verdicts of the probes, by container id: all pass, readiness after its delay."""
        delay = self.behavior.ready or 0.0
        running = [one for one in self._containers.values() if one.state == "running"]
        return {one.id: Verdicts(liveness=True, startup=True, readiness=now >= one.started + delay) for one in running}

    def next_change(self, now: float) -> float | None:
        """Return the seconds until something changes by itself; None if nothing will."""
        delay = self.behavior.ready or 0.0
        moments = [due for due, _ in self._starting.values()] + [end.at for end in self._ends.values()]
        moments += [one.started + delay for one in self._containers.values() if one.state == "running" and one.started + delay > now]
        return max(0.0, min(moments) - now) if moments else None

    # -- what happens to it

    def advance(self, pod: core.Pod, now: float) -> None:
        """Let everything happen that is due."""
        for name, (due, start) in list(self._starting.items()):
            if due <= now:
                del self._starting[name]
                self._run(pod, start, due)
        for ident, end in list(self._ends.items()):
            if end.at <= now:
                del self._ends[ident]
                self._containers[ident] = _ended(self._containers[ident], end)

    def apply(self, plan: Plan, pod: core.Pod, now: float) -> None:
        """Take the steps of a plan, or begin them."""
        if plan.kill_pod:
            self.stop_all(now, 0.0)
        for stop in plan.stop:
            self._stop(stop, now)
        for ident in plan.remove_containers:
            self._containers.pop(ident, None)
        self._boxes = [box for box in self._boxes if box.id not in plan.remove_sandboxes]
        if plan.create_sandbox is not None:
            self._boxes = [msgspec.structs.replace(box, ready=False) for box in self._boxes]
            ips = (self._ip,) if self._ip else ()
            self._boxes.insert(0, SeenSandbox(f"{self._meta.uid}-{plan.create_sandbox}", plan.create_sandbox, True, now, ips))
        for start in plan.start:
            if start.name not in self._starting:
                self._begin(pod, start, now)

    def stop_all(self, now: float, grace: float) -> None:
        """Send every container the stop signal, and SIGKILL after `grace` seconds; containers that do not run yet never will."""
        self._starting.clear()
        for one in list(self._containers.values()):
            if one.state == "running":
                self._end_within(one, now, grace)
        if not any(one.state == "running" for one in self._containers.values()):
            self._boxes = [msgspec.structs.replace(box, ready=False) for box in self._boxes]

    def _stop(self, stop: Stop, now: float) -> None:
        one = self._containers.get(stop.id)
        if one is not None and one.state == "running":
            self._end_within(one, now, stop.grace)

    def _end_within(self, one: SeenContainer, now: float, grace: float) -> None:
        needed = self.behavior.stop or 0.0
        end = End(now + needed, 0) if needed <= grace else End(now + grace, KILLED)
        known = self._ends.get(one.id)
        if known is None or end.at < known.at:
            self._ends[one.id] = known = end
        if known.at <= now:
            del self._ends[one.id]
            self._containers[one.id] = _ended(one, known)

    def _begin(self, pod: core.Pod, start: Start, now: float) -> None:
        container = find_container(pod, start.name)
        if container is None:
            return
        if start.backoff is not None:
            self.backoffs[backoff_key(container)] = start.backoff
        else:
            self.backoffs.setdefault(backoff_key(container), Backoff())
        pull = (self.behavior.pull or 0.0) if start.attempt == 0 else 0.0
        due = now + pull + (self.behavior.start or 0.0)
        if due <= now:
            self._run(pod, start, now)
        else:
            self._starting[start.name] = (due, start)

    def _run(self, pod: core.Pod, start: Start, now: float) -> None:
        container = find_container(pod, start.name)
        box = next((box for box in self._boxes if box.ready), None)
        if container is None or box is None:
            return
        seen = self._container(start.name, start.attempt, now, container.image, box)
        self._containers[seen.id] = seen
        self._schedule_end(pod, seen)
        end = self._ends.get(seen.id)
        if end is not None and end.at <= now:
            del self._ends[seen.id]
            self._containers[seen.id] = _ended(seen, end)

    def _schedule_end(self, pod: core.Pod, seen: SeenContainer) -> None:
        behavior = self.behavior
        init = next((one for one in pod.spec.initContainers if one.name == seen.name), None)
        if init is not None:
            if init.restartPolicy != "Always":
                self._ends[seen.id] = End(seen.started + (behavior.init or 0.0), 0)
            return
        fails = behavior.failures is None or seen.attempt < behavior.failures
        bad = behavior.oom or behavior.exit_code
        if behavior.run is None and not (bad and fails):
            return
        at = seen.started + (behavior.run or 0.0)
        if not fails:
            if behavior.run is not None and pod.spec.restartPolicy != "Always":
                self._ends[seen.id] = End(at, 0)
            return
        self._ends[seen.id] = End(at, *OOM) if behavior.oom else End(at, behavior.exit_code or 0)


def _ended(seen: SeenContainer, end: End) -> SeenContainer:
    return msgspec.structs.replace(seen, state="exited", finished=end.at, exit_code=end.exit_code, reason=end.reason)
