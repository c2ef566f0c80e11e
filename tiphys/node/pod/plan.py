"""Plan of the next steps for one pod: desired pod, observed sandboxes and containers, probe verdicts and backoff in; a plan out. Pure.

The rules follow "Pod Lifecycle", "Init Containers" and "Sidecar Containers" of the Kubernetes documentation, and KEP-753 and KEP-5307:

- One ready sandbox, or a new one is made and everything starts from the first init container again.
- Init containers run one after the other; a sidecar counts as done once it has started (and its startup probe has passed), and is kept
  running from then on. Once an ordinary container has been created in the sandbox, initialization is over for good.
- Ordinary containers run side by side; a dead one is restarted by the pod's restart policy (or its own) after a backoff that doubles
  from 10 s to 5 min and is forgotten when the container has lived for 10 min.
- Resources that changed are updated in place where the container's resize policy allows it (KEP-1287).
- A liveness or startup probe that failed, a changed image, or a resize that needs it, kills the container; policy decides whether it
  comes back.
- When nothing runs and nothing may start, the pod is over and its sandbox goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.names import DEFAULT_GRACE, ContainerKind
from tiphys.node.pod.backoff import MAX_BACKOFF, Backoff, backoff_key, backoff_left, next_backoff
from tiphys.node.pod.observed import Observed, SeenContainer
from tiphys.node.pod.resize_rules import Sizes, changed, needs_restart

_NOTHING: Sizes = {}

AnyContainer = core.Container | core.EphemeralContainer


class Verdicts(msgspec.Struct, frozen=True):
    """Verdicts of the probes of one running container. None: no probe of that kind, or no verdict yet."""

    liveness: bool | None = None
    startup: bool | None = None
    readiness: bool | None = None


class Stop(msgspec.Struct, frozen=True):
    """A running container to stop: first its preStop hook, then the stop signal, SIGKILL after `grace` seconds."""

    id: str
    name: str
    message: str
    grace: int
    why: Literal["changed", "liveness", "startup", "unknown", "over"]


class Start(msgspec.Struct, frozen=True):
    """A container to create and start."""

    name: str
    kind: ContainerKind
    attempt: int
    backoff: Backoff | None = None
    """The back-off that the container is under from this start on; None: it has none, or keeps what it has."""


class Update(msgspec.Struct, frozen=True):
    """A running container whose resources change while it runs."""

    id: str
    name: str


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order they must be taken: stop the pod or single containers, remove, make the sandbox, start containers."""

    kill_pod: bool = False
    """Stop everything that runs and the sandboxes; nothing else in the plan follows unless a sandbox is to be made."""
    stop: tuple[Stop, ...] = ()
    stop_sandboxes: tuple[str, ...] = ()
    """Dead sandboxes that are replaced: their network namespaces and addresses are given back."""
    update: tuple[Update, ...] = ()
    remove_containers: tuple[str, ...] = ()
    remove_sandboxes: tuple[str, ...] = ()
    create_sandbox: int | None = None
    """The attempt number of the sandbox to make."""
    start: tuple[Start, ...] = ()
    """Started one after the other, in this order, each after its image is there."""
    backing_off: Mapping[str, float] = {}
    """Containers that wait for their backoff, with the delay in seconds that they wait out: CrashLoopBackOff."""
    recheck_in: float | None = None
    """Seconds after which a new plan can differ although nothing else changed."""
    over: bool = False
    """Nothing runs and nothing will ever start again."""

    @property
    def empty(self) -> bool:
        """True if there is nothing to do now."""
        acts = self.kill_pod or self.stop or self.update or self.remove_containers or self.remove_sandboxes or self.start
        return not acts and self.create_sandbox is None


def find_container(pod: core.Pod, name: str) -> AnyContainer | None:
    """The container of the pod's spec with this name, of whatever kind."""
    groups: tuple[list[core.Container] | list[core.EphemeralContainer], ...] = (
        pod.spec.containers, pod.spec.initContainers, pod.spec.ephemeralContainers,
    )  # fmt: skip
    for group in groups:
        for container in group:
            if container.name == name:
                return container
    return None


def restarts(pod: core.Pod, container: AnyContainer, exit_code: int) -> bool:
    """True if a container that ended with this code is to be started again (KEP-5307: its own rules, its own policy, the pod's)."""
    for rule in container.restartPolicyRules:
        codes = rule.exitCodes
        if rule.action == "Restart" and codes is not None:
            inside = exit_code in codes.values
            if (codes.operator == "In" and inside) or (codes.operator == "NotIn" and not inside):
                return True
    policy = container.restartPolicy or pod.spec.restartPolicy or "Always"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _init_restarts(pod: core.Pod, container: core.Container, exit_code: int) -> bool:
    """Init containers run to success: of the pod's policies only Never keeps a failed one down."""
    if container.restartPolicy is None and not container.restartPolicyRules and pod.spec.restartPolicy != "Never":
        return exit_code != 0
    return exit_code != 0 and restarts(pod, container, exit_code)


def grace_of(pod: core.Pod) -> int:
    """Seconds the pod's containers get to end: the delete's grace period, else the spec's."""
    seconds = pod.metadata.deletionGracePeriodSeconds if pod.metadata.deletionTimestamp is not None else None
    if seconds is None:
        seconds = pod.spec.terminationGracePeriodSeconds
    return DEFAULT_GRACE if seconds is None else max(seconds, 1)


def deadline_left(pod: core.Pod, now: datetime) -> float | None:
    """Seconds until the pod exceeds activeDeadlineSeconds; None when it has none."""
    if pod.spec.activeDeadlineSeconds is None or pod.status.startTime is None:
        return None
    return pod.spec.activeDeadlineSeconds - (now - pod.status.startTime).total_seconds()


def plan_pod(
    pod: core.Pod,
    seen: Observed,
    *,
    hashes: Mapping[str, str],
    verdicts: Mapping[str, Verdicts],
    backoffs: Mapping[str, Backoff],
    now: float,
    applied: Sizes = _NOTHING,
    spare: int | None = 1,
    longest_backoff: float = MAX_BACKOFF,
) -> Plan:
    """The next steps for a pod that is meant to run.

    `hashes` gives the spec hash of each container by name; `verdicts` is by container id, `backoffs` by `backoff_key`. `now` is in
    seconds since 1970. `applied` gives the resources that running containers have, by id, as far as they are known. `spare` is the number
    of dead containers that stay for each container besides the newest; None leaves all of them to garbage collection. `longest_backoff` is
    the longest pause before a restart, in seconds.
    """
    return _Planner(pod, seen, hashes, verdicts, backoffs, now, applied, spare, longest_backoff).plan()


class _Planner:
    """Gathers the steps of one plan; lives for one call."""

    def __init__(
        self,
        pod: core.Pod,
        seen: Observed,
        hashes: Mapping[str, str],
        verdicts: Mapping[str, Verdicts],
        backoffs: Mapping[str, Backoff],
        now: float,
        applied: Sizes,
        spare: int | None,
        longest_backoff: float,
    ) -> None:
        self.spare = spare
        self.pod = pod
        self.seen = seen
        self.hashes = hashes
        self.verdicts = verdicts
        self.backoffs = backoffs
        self.now = now
        self.applied = applied
        self.longest_backoff = longest_backoff
        self.updates: list[Update] = []
        self.starts: list[Start] = []
        self.stops: list[Stop] = []
        self.backing_off: dict[str, float] = {}
        self.recheck: float | None = None

    def plan(self) -> Plan:
        box = self.seen.sandbox
        ready = [one for one in self.seen.sandboxes if one.ready]
        if box is None or not box.ready or len(ready) > 1:
            return self._new_sandbox()
        for ephemeral in self.pod.spec.ephemeralContainers:
            if self.seen.latest(ephemeral.name) is None:
                self.starts.append(Start(ephemeral.name, "ephemeral", 0))
        initialized, failed = self._init_containers()
        if failed:
            return Plan(kill_pod=bool(self.seen.running) or box.ready, over=True)
        if initialized and not self._main_containers():
            return Plan(kill_pod=True, over=True)
        return self._finish()

    def _finish(self) -> Plan:
        removed, boxes = self._leftovers()
        return Plan(
            stop=tuple(self.stops),
            update=tuple(self.updates),
            remove_containers=removed,
            remove_sandboxes=boxes,
            start=tuple(self.starts),
            backing_off=self.backing_off,
            recheck_in=self.recheck,
        )

    # -- the sandbox

    def _new_sandbox(self) -> Plan:
        box = self.seen.sandbox
        attempt = box.attempt + 1 if box is not None else 0
        kill = bool(self.seen.running) or any(one.ready for one in self.seen.sandboxes)
        begun = any(self.seen.latest(container.name) for container in self.pod.spec.containers)
        if self.pod.spec.restartPolicy == "Never" and box is not None and self.seen.containers:
            return Plan(kill_pod=kill, over=True)
        unfinished = [container for container in self.pod.spec.containers if not self._done(container)]
        if begun and not unfinished:
            return Plan(kill_pod=kill, over=True)
        removed, boxes = self._leftovers()
        if kill:
            # Stop the rest first; the next plan, on clean ground, makes the sandbox.
            return Plan(kill_pod=True, remove_containers=removed, remove_sandboxes=boxes)
        if self.pod.spec.initContainers:
            first = self.pod.spec.initContainers[0]
            self._restart(first, "sidecar" if is_sidecar(first) else "init")
        else:
            for container in unfinished:
                self._restart(container, "main")
        return Plan(
            create_sandbox=attempt,
            stop_sandboxes=tuple(one.id for one in self.seen.sandboxes if one.id not in boxes),
            start=tuple(self.starts),
            remove_containers=removed,
            remove_sandboxes=boxes,
            backing_off=self.backing_off,
            recheck_in=self.recheck,
        )

    def _done(self, container: core.Container) -> bool:
        last = self.seen.latest(container.name)
        return last is not None and last.state == "exited" and not restarts(self.pod, container, last.exit_code)

    # -- init containers and sidecars

    def _init_containers(self) -> tuple[bool, bool]:
        """Plan init containers; return whether initialization is over, and whether it failed for good."""
        box = self.seen.sandbox
        assert box is not None
        begun = any(one.sandbox == box.id and one.state != "created" and self._kind(one.name) == "main" for one in self.seen.containers)
        for container in self.pod.spec.initContainers:
            last = self.seen.latest(container.name)
            if last is not None and last.sandbox != box.id:
                last = None  # it belongs to a sandbox that is gone: this one starts from the beginning
            if is_sidecar(container):
                if not self._sidecar(container, last) and not begun:
                    return False, False
                continue
            if begun:
                continue
            done, failed = self._init_container(container, last)
            if failed or not done:
                return False, failed
        return True, False

    def _init_container(self, container: core.Container, last: SeenContainer | None) -> tuple[bool, bool]:
        if last is None:
            self._restart(container, "init")
            return False, False
        if last.state == "running":
            if self._outgrown(container, last):
                self.updates.append(Update(last.id, last.name))
            return False, False
        if last.state == "exited":
            if last.exit_code == 0:
                return True, False
            if not _init_restarts(self.pod, container, last.exit_code):
                return False, True
        self._restart(container, "init")
        return False, False

    def _sidecar(self, container: core.Container, last: SeenContainer | None) -> bool:
        """Keep a sidecar running; True when the containers after it may start."""
        if last is None or last.state != "running" or self._unfit(container, last):
            self._restart(container, "sidecar")
            return False
        return container.startupProbe is None or self.verdicts.get(last.id, Verdicts()).startup is True

    # -- ordinary containers

    def _main_containers(self) -> bool:
        """Plan the ordinary containers; False when none lives and none will."""
        alive = False
        for container in self.pod.spec.containers:
            last = self.seen.latest(container.name)
            if last is None:
                self._restart(container, "main")
                alive = True
            elif last.state == "running":
                if not self._unfit(container, last):
                    alive = True
                elif self.stops[-1].why == "changed" or restarts(self.pod, container, 1):
                    self._restart(container, "main")
                    alive = True
            elif last.state != "exited" or restarts(self.pod, container, last.exit_code):
                self._restart(container, "main")
                alive = True
        return alive or bool(self.stops)

    def _unfit(self, container: core.Container, last: SeenContainer) -> bool:
        """True if a running container must be stopped; the stop is in the plan then."""
        verdict = self.verdicts.get(last.id, Verdicts())
        grace = grace_of(self.pod)
        desired = self.hashes.get(container.name, "")
        suffix = ", will be restarted" if restarts(self.pod, container, 1) else ""
        if desired and last.hash and desired != last.hash:
            message = f"Container {container.name} definition changed, will be restarted"
            self.stops.append(Stop(last.id, container.name, message, grace, "changed"))
        elif verdict.liveness is False:
            message = f"Container {container.name} failed liveness probe{suffix}"
            self.stops.append(Stop(last.id, container.name, message, _probe_grace(container.livenessProbe, grace), "liveness"))
        elif verdict.startup is False:
            message = f"Container {container.name} failed startup probe{suffix}"
            self.stops.append(Stop(last.id, container.name, message, _probe_grace(container.startupProbe, grace), "startup"))
        elif last.id in self.applied and needs_restart(container, self.applied[last.id]):
            self.stops.append(Stop(last.id, container.name, f"Container {container.name} resize requires restart", grace, "changed"))
        else:
            if self._outgrown(container, last):
                self.updates.append(Update(last.id, last.name))
            return False
        return True

    def _outgrown(self, container: core.Container, last: SeenContainer) -> frozenset[str]:
        """The resources of which a running container has another amount than it is to have."""
        known = self.applied.get(last.id)
        return frozenset() if known is None else changed(known, container.resources)

    # -- starting

    def _restart(self, container: core.Container, kind: ContainerKind) -> None:
        """Start a container, unless it has to wait: counted from the last end that was seen, whatever ended it.

        One that a probe has just had killed is judged by the end before, so it starts at once while that is long ago; if it is not, the
        container's own end counts in the next plan.
        """
        last = self.seen.latest(container.name)
        if last is not None and last.state == "unknown":
            self.stops.append(Stop(last.id, last.name, f"Container {last.name} is in an unknown state", 2, "unknown"))
        dead = next((one for one in self.seen.all_of(container.name) if one.state == "exited"), None)
        backoff = self.backoffs.get(backoff_key(container))
        if dead is not None and (left := backoff_left(backoff, dead, self.now)) > 0:
            assert backoff is not None
            self.backing_off[container.name] = backoff.delay
            self.recheck = left if self.recheck is None else min(self.recheck, left)
            return
        after = next_backoff(backoff, dead, self.longest_backoff) if dead is not None else None
        self.starts.append(Start(container.name, kind, self._attempt(container.name, last), after))

    def _attempt(self, name: str, previous: SeenContainer | None) -> int:
        if previous is not None:
            return previous.attempt + 1
        for status in (*self.pod.status.containerStatuses, *self.pod.status.initContainerStatuses):
            if status.name == name and status.containerID:
                # The dead containers were cleared away, but the API remembers how often it was restarted.
                return status.restartCount + 1
        return 0

    # -- leftovers

    def _kind(self, name: str) -> ContainerKind | None:
        for group, kind in ((self.pod.spec.containers, "main"), (self.pod.spec.initContainers, "init")):
            if any(container.name == name for container in group):
                return kind  # type: ignore[return-value]
        return None

    def _leftovers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return dead containers beyond those that stay (`kubectl logs --previous` reads one), and sandboxes without any."""
        gone: list[str] = []
        kept_in: set[str] = set()
        for name in {container.name for container in self.seen.containers}:
            for place, container in enumerate(self.seen.all_of(name)):
                if self.spare is not None and place > self.spare and container.state in ("exited", "created"):
                    gone.append(container.id)
                else:
                    kept_in.add(container.sandbox)
        boxes = tuple(box.id for box in self.seen.sandboxes[1:] if not box.ready and box.id not in kept_in)
        return tuple(sorted(gone)), boxes


def _probe_grace(probe: core.Probe | None, pod_grace: int) -> int:
    if probe is not None and probe.terminationGracePeriodSeconds is not None:
        return probe.terminationGracePeriodSeconds
    return pod_grace
