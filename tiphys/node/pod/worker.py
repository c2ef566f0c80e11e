"""One worker per pod: looks, plans, acts, reports. The states are in `pod/states.py`, the decisions in `pod/plan.py` and `pod/status.py`.

The worker is level-triggered: whatever wakes it (the API, the runtime, a probe, a clock), it plans from what is there now. A new kubelet
therefore finds running pods as they are, plans nothing for them, and leaves them alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import msgspec

from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import StatusError
from tiphys.node.container.env import referenced
from tiphys.node.cri.errors import CriError
from tiphys.node.metrics import families
from tiphys.node.metrics.starts import PodStart
from tiphys.node.pod import preemption
from tiphys.node.pod.actions import NotYet, PodActions
from tiphys.node.pod.admission import Admission
from tiphys.node.pod.admission_rules import Rejection
from tiphys.node.pod.backoff import Backoff
from tiphys.node.pod.killer import PodKiller
from tiphys.node.pod.last_words import DeathReports
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.plan import Plan, deadline_left, grace_of, plan_pod
from tiphys.node.pod.resizing import Resizing
from tiphys.node.pod.states import Event, Life
from tiphys.node.pod.status import Facts, Waiting, is_owned, pod_status
from tiphys.node.pod.teardown import delete_object, tear_down
from tiphys.node.services import NodeServices
from tiphys.node.static.annotations import is_static
from tiphys.node.volumes.manager import followed
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import AttachLimitError

log = logging.getLogger(__name__)

FIRST_RETRY = 0.5
MAX_RETRY = 60.0
_OVER = ("Succeeded", "Failed")


class PodWorker:
    """Drives one pod from its arrival on the node until nothing of it is left."""

    def __init__(self, services: NodeServices, uid: str, pod: core.Pod | None) -> None:
        self.services = services
        self.uid = uid
        self.pod = pod
        seen = services.relister.get(uid)
        self.who = f"{pod.metadata.namespace}/{pod.metadata.name}" if pod is not None else f"{seen.namespace}/{seen.name}"
        self.life = Life(self.who)
        self.waiting: dict[str, Waiting] = {}
        self.backoffs: dict[str, Backoff] = {}
        self.failed: Waiting | None = None
        self.disruption = ""
        self.rejected = False
        self.over = False
        self.static = pod is not None and is_static(pod)
        """True for a pod that comes from a file or a URL."""
        self.in_api = pod is not None and not self.static
        self.status = pod.status if pod is not None else core.PodStatus()
        self.adopted = _adopted(pod) if pod is not None else {}
        self._resizing = Resizing(services, uid, pod, seen)
        self.actions = PodActions(services, self.waiting, self._resizing.applied)
        self._deaths = DeathReports(services, seen)
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._retry = 0.0
        self._grace_cap: int | None = None
        self._admission = Admission(services, decided=pod is None or self._resizing.recorded is not None or not seen.empty)
        self._start = PodStart(services.clock.monotonic(), fresh=not self._admission.decided)
        if pod is not None:
            self._receive(pod)
            self._enter()
            self._agree()
        else:
            self.fire("missing")

    @property
    def is_serving(self) -> bool:
        """True if the node has taken the pod and keeps it running."""
        return self.pod is not None and self._admission.decided and self.life.state == "syncing"

    @property
    def is_known(self) -> bool:
        """True while the API server or a source of static pods has the pod."""
        return self.in_api or (self.static and self.pod is not None and self.pod.metadata.deletionTimestamp is None)

    # -- what happens to it; nothing here waits

    def update(self, pod: core.Pod) -> None:
        """The API server shows the pod like this now."""
        self.pod = pod
        self._receive(pod)
        self._agree()
        self.services.statuses.observe(pod)
        self.publish()
        self._wake.set()

    def withdraw(self) -> None:
        """End a static pod that its source does not have any more, with the grace period that it asks for."""
        assert self.pod is not None
        now, grace = self.services.clock.now(), grace_of(self.pod)
        meta = msgspec.structs.replace(self.pod.metadata, deletionTimestamp=base.time(now), deletionGracePeriodSeconds=grace)
        self.pod = msgspec.structs.replace(self.pod, metadata=meta)
        self._receive(self.pod)
        self.publish()
        self._wake.set()

    def missing(self) -> None:
        """The API server does not know the pod."""
        self.in_api = False
        self.services.allocations.leave(self.uid)
        self.fire("missing")
        self._wake.set()

    def observe(self) -> None:
        """The runtime shows something new about the pod."""
        self._probe()
        self.publish()
        self._wake.set()

    def wake(self) -> None:
        """Something changed that plans depend on: a probe's verdict, a config map."""
        self.publish()
        self._wake.set()

    def give_up(self, reason: str, message: str, *, grace: int | None = None, disruption: str = "") -> None:
        """The pod fails as a whole (eviction, deadline): it is stopped and stays, as Failed, until it is deleted. `grace` is the most
        seconds that it has for its end, if that is less than it has by itself; `disruption` says for whom it has to go."""
        if self.life.state == "syncing":
            self.failed, self.disruption = Waiting(reason, message), disruption
            if grace is not None and (self._grace_cap is None or grace < self._grace_cap):
                self._grace_cap = grace
            self.fire("given_up")

    def make_room(self) -> None:
        """Give the pod up for a critical one."""
        if self.pod is not None and self.life.state == "syncing":
            self.services.tell(self.pod, "", "Warning", preemption.REASON, preemption.MESSAGE)
            self.give_up(preemption.REASON, preemption.MESSAGE, disruption=preemption.DISRUPTION)

    def fire(self, event: Event) -> None:
        """Follow the table of states, and interrupt what is under way if it belongs to the state before."""
        if event == "deleted" and self.life.state in ("terminating", "removing", "removed"):
            return
        if self.life.fire(event) or self.life.state == "terminating":
            log.debug("pod worker", extra={"pod": self.who, "event": event, "state": self.life.state})
            self._ending.set()
        self._wake.set()

    def _receive(self, pod: core.Pod) -> None:
        self._follow(pod)
        if pod.status.phase in _OVER and self.status.phase not in _OVER:
            # Somebody else ended the pod (a controller after a lost node, say): that is final.
            self.status = msgspec.structs.replace(self.status, phase=pod.status.phase, reason=pod.status.reason, message=pod.status.message)
        if self.status.phase in _OVER and self.life.state == "syncing":
            self.fire("over")
        if pod.metadata.deletionTimestamp is None:
            return
        grace = pod.metadata.deletionGracePeriodSeconds
        shorter = grace is not None and (self._grace_cap is None or grace < self._grace_cap)
        if shorter:
            self._grace_cap = grace
        if self.life.state in ("syncing", "terminated"):
            self.fire("deleted")
        elif self.life.state == "terminating" and shorter:
            self._ending.set()

    def _follow(self, pod: core.Pod) -> None:
        if self.life.state == "syncing":
            self.services.objects.use(self.uid, followed(pod, referenced(pod)))

    # -- the status

    @property
    def seen(self) -> Observed:
        return self.services.relister.get(self.uid)

    def view(self) -> core.Pod:
        """The pod with our own idea of its status, other people's conditions as the API shows them, and the resources it was given."""
        assert self.pod is not None
        mine = [condition for condition in self.status.conditions if is_owned(condition)]
        types = {condition.type for condition in mine}
        others = [one for one in self.pod.status.conditions if not is_owned(one) and one.type not in types]
        status = msgspec.structs.replace(self.status, conditions=mine + others)
        return msgspec.structs.replace(self._resizing.sized(self.pod), status=status)

    def publish(self) -> None:
        """Work out the status and have it written if it differs."""
        if self.pod is None or self.life.state in ("removed", "gone") or (self.life.state == "syncing" and not self._admission.decided):
            return
        box = self.seen.sandbox
        facts = Facts(
            seen=self.seen,
            verdicts=self.services.probes.verdicts(self.seen),
            waiting=self.waiting,
            starting=self.actions.starting,
            host_ips=self.services.settings.addresses,
            failed=self.failed,
            disruption=self.disruption,
            rejected=self.rejected,
            over=self.over,
            adopted=self.adopted,
            applied=self._resizing.applied,
            health=self.services.health(self.pod),
            recursive_read_only=self.services.features.latest.of(box.handler if box else "").recursive_read_only,
            resize=self._resizing.conditions(self.pod),
        )
        self.status = pod_status(self.view(), facts, self.services.clock.now())
        clock, pulling = self.services.clock, self.services.images.pulling(self.uid)
        self._start.observe(self.pod, self.status, now=clock.now(), elapsed=clock.monotonic(), pulling=pulling)
        if self.status.phase in _OVER:
            # From here on the scheduler gives the pod's room to others.
            self.services.allocations.leave(self.uid)
            if not self.seen.running:
                self.services.assigners.leave(self.uid)
        if self.in_api:
            self.services.statuses.set(self.pod, self.status)
        elif self.static:
            self.services.static.set(self.pod, self.status)

    # -- resources

    def _enter(self) -> None:
        if self.pod is not None and self.is_serving:
            self.services.allocations.enter(self._resizing.sized(self.pod), self.make_room)

    def _agree(self) -> None:
        """Agree to the resources that the pod wants, or say why not."""
        if self.pod is not None and self.is_serving:
            self._resizing.agree(self.pod, self._enter, self._offered)

    def _offered(self) -> None:
        """Somebody else gave something back."""
        self._agree()
        self.wake()

    async def _record(self) -> bool:
        """Record the pod's allocation on disk; False when that failed."""
        try:
            await self._resizing.record()
        except OSError as error:
            log.warning("admission not recorded", extra={"pod": self.who, "error": str(error)})
            await self._rest(self._next_retry())
            return False
        return True

    def _probe(self) -> None:
        if self.pod is not None and self.life.state in ("syncing", "terminating"):
            ip = self.services.pod_ip(self.pod, self.seen)
            started = self.seen.without(self.actions.starting)
            self.services.probes.sync(self.pod, started, ip=ip, ending=self.life.state == "terminating")

    # -- the work

    async def run(self) -> None:
        """Work until the pod is gone. Meant to be a task of its own; cancelling it leaves the pod as it is."""
        if self.pod is not None:
            self._probe()
            self.publish()
        while self.life.state != "gone":
            step = asyncio.get_running_loop().create_task(self._step(), name=f"pod {self.who} {self.life.state}")
            ending = asyncio.get_running_loop().create_task(self._ending.wait())
            try:
                await asyncio.wait((step, ending), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (step, ending):
                    if not task.done():
                        await cancel_and_wait(task)
            self._ending.clear()
            if not step.cancelled() and step.exception() is not None:
                log.error("pod worker failed", extra={"pod": self.who}, exc_info=step.exception())
                await self.services.clock.sleep(self._next_retry())

    async def _step(self) -> None:
        state = self.life.state
        if state == "syncing":
            await self._sync()
        elif state == "terminating":
            await self._terminate()
        elif state == "removing":
            await self._remove()
        else:
            # The way here has woken it: without this it would never come to rest.
            self._wake.clear()
            await self._rest(None)

    async def _rest(self, seconds: float | None) -> None:
        """Until something happens or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _next_retry(self) -> float:
        self._retry = min(self._retry * 2, MAX_RETRY) if self._retry else FIRST_RETRY
        return self._retry

    async def _be_admitted(self, pod: core.Pod) -> bool:
        """Have the node take the pod, or fail it for good. False: rejected, or to be tried again."""
        try:
            rejected = await self._admission.decide(pod, self._enter)
        except (StatusError, OSError) as error:
            log.info("pod is not admitted yet", extra={"pod": self.who, "error": str(error)})
            await self._rest(self._next_retry())
            return False
        if rejected is not None:
            self._reject(pod, rejected)
        elif self._admission.decided:
            self._agree()
            self.publish()
            return True
        return False

    def _reject(self, pod: core.Pod, rejected: Rejection) -> None:
        self.rejected = True
        families.REJECTIONS.labels(rejected.reason).inc()
        self.services.tell(pod, "", "Warning", rejected.reason, rejected.message)
        self.give_up(rejected.reason, f"Pod was rejected: {rejected.message}")

    async def _sync(self) -> None:
        self._wake.clear()
        pod = self.view()
        self._start.sync(self.services.clock.monotonic())
        if not self._admission.decided and not await self._be_admitted(pod):
            return
        if not await self._record():
            return
        # With the time at which the pod was admitted, which may have been just now.
        left = deadline_left(self.view(), self.services.clock.now())
        if left is not None and left <= 0:
            self._exceed()
            return
        plan = plan_pod(
            pod,
            self.seen,
            hashes=self.services.hashes(pod),
            verdicts=self.services.probes.verdicts(self.seen),
            backoffs=self.backoffs,
            now=self.services.clock.now().timestamp(),
            applied=self._resizing.applied,
            spare=None,
            longest_backoff=self.services.settings.longest_restart_backoff,
        )
        await self._deaths.tell(pod, self.seen)
        for name in self._crash_loops(pod, plan):
            await self._deaths.tell_log(pod, name, self.seen)
        if plan.over:
            self.over = not self.seen.running
            self.fire("over")
            return
        self._resizing.forget_ended(self.seen)
        again = None if await self._resizing.carry_on(pod, plan, self.seen, self.actions) else self._next_retry()
        delays = [delay for delay in (plan.recheck_in, left, again) if delay is not None]
        if not msgspec.structs.replace(plan, update=()).empty:
            with self._bounded(left):
                delays.append(await self._act(pod, plan))
        self.publish()
        await self._rest(min(delays, default=None))

    def _exceed(self) -> None:
        if self.pod is not None and self.life.state == "syncing":
            message = "Pod was active on the node longer than the specified deadline"
            self.services.tell(self.pod, "", "Normal", "DeadlineExceeded", message)
            self.give_up("DeadlineExceeded", message)

    @contextlib.contextmanager
    def _bounded(self, left: float | None) -> Iterator[None]:
        """Give the pod up once its deadline is over, also in the middle of an action: volumes may be waited for without end."""
        timer = asyncio.get_running_loop().call_later(left, self._exceed) if left is not None else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    async def _act(self, pod: core.Pod, plan: Plan) -> float:
        """Carry the plan out; seconds until the next look."""
        started = self.services.clock.monotonic()
        try:
            await self.actions.apply(pod, plan, self.backoffs, on_progress=self._progress)
        except NotYet as error:
            self.publish()
            return error.retry
        except AttachLimitError as error:
            self._reject(pod, Rejection(AttachLimitError.reason, str(error)))
            return 0.0
        except (VolumeError, CriError, StatusError, OSError) as error:
            log.info("pod could not be synced", extra={"pod": self.who, "error": str(error)})
            self.publish()
            pause = self._next_retry()
            return min(pause, error.longest_pause) if isinstance(error, VolumeError) else pause
        finally:
            families.WORK_SECONDS.labels("sync").observe(self.services.clock.monotonic() - started)
        self._retry = 0.0
        # The actions have looked at the runtime: plan again from there at once.
        return 0.0

    def _progress(self) -> None:
        self._probe()
        self.publish()

    def _crash_loops(self, pod: core.Pod, plan: Plan) -> list[str]:
        """Show which containers wait for their back-off; returns those whose wait has just begun."""
        begun = []
        for name, delay in plan.backing_off.items():
            fresh = name not in self.waiting or self.waiting[name].reason != "CrashLoopBackOff"
            whose = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
            message = f"back-off {_duration(delay)} restarting failed container={name} pod={whose}"
            self.waiting[name] = Waiting("CrashLoopBackOff", message)
            if fresh:
                text = f"Back-off restarting failed container {name} in pod {whose}"
                self.services.tell(pod, name, "Warning", "BackOff", text)
                begun.append(name)
        return begun

    # -- the end

    async def _terminate(self) -> None:
        self._wake.clear()
        self._probe()
        self.publish()
        killer = PodKiller(self.services, self.uid, self.pod)
        try:
            await killer.kill(grace_cap=self._grace_cap, missing=not self.is_known)
            await self.services.relister.refresh(self.uid)
            if self.pod is not None:
                await self._deaths.tell(self.pod, self.seen)
        except CriError as error:
            log.warning("pod could not be stopped", extra={"pod": self.who, "error": str(error)})
            await self._rest(self._next_retry())
            return
        if self.seen.running or any(box.ready for box in self.seen.sandboxes):
            await self._rest(self._next_retry())
            return
        self.over = True
        self.waiting.clear()
        self.publish()
        self.services.probes.forget(self.uid)
        await tear_down(self.services, self.uid, self.who, self._next_retry)
        self.fire("stopped")
        if not self.is_known:
            self.fire("missing")
        elif self.pod is not None and self.pod.metadata.deletionTimestamp is not None:
            self.fire("deleted")

    async def _remove(self) -> None:
        """Delete the pod from the API, then the rest of it from the node."""
        self._wake.clear()
        if self.in_api and self.pod is not None:
            try:
                await delete_object(self.services, self.pod)
            except (StatusError, OSError) as error:
                log.warning("pod not deleted from the API", extra={"pod": self.who, "error": str(error)})
                await self._rest(self._next_retry())
                return
        try:
            await self.actions.clean(self.uid, self.pod, self.seen)
        except (CriError, OSError) as error:
            log.warning("pod not removed from the node", extra={"pod": self.who, "error": str(error)})
            await self._rest(self._next_retry())
            return
        self.services.statuses.forget(self.uid)
        self.services.static.forget(self.uid)
        self.fire("removed")
        if not self.in_api:
            self.fire("missing")


def _adopted(pod: core.Pod) -> dict[str, core.ContainerStatus]:
    """Return the API's status of containers that are running already, by id: it holds until a probe has a result."""
    known = (*pod.status.containerStatuses, *pod.status.initContainerStatuses)
    return {one.containerID.rpartition("/")[2]: one for one in known if one.state.running is not None}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
