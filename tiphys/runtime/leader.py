"""Leader election: one of several processes works, and the others wait to take over.

A Lease names the holder, who renews it. A candidate takes over when the lease has not changed for its whole duration, by the candidate's
own clock: clocks of different machines are never compared ("Leases" in the Kubernetes documentation; the numbers are client-go's).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.coordination.v1 import Lease, LeaseSpec
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.obs import metrics
from tiphys.obs.logging import get_logger
from tiphys.runtime.apply import copied
from tiphys.settings.leader import LeaderElectionSettings

log = get_logger(__name__)

LEADING = metrics.gauge("leader_election_master_status", "1 while this process leads, by the name of the lease.", "name")


class LeadershipLost(Exception):
    """The lease could not be renewed in time: another process may lead now, so this one must stop leading at once."""


class Timing(NamedTuple):
    """Durations in seconds: of a lease, of the holder's attempts to renew it before it gives up, and between attempts."""

    duration: float
    renew_deadline: float
    retry: float

    @classmethod
    def of(cls, settings: LeaderElectionSettings) -> Timing:
        """Return the durations of settings."""
        return cls(settings.lease_duration, settings.renew_deadline, settings.retry_period)


DEFAULTS = LeaderElectionSettings()
TIMING = Timing.of(DEFAULTS)


class Seen(NamedTuple):
    """Lease as last read, and the time (monotonic) at which this state was first seen."""

    lease: Lease
    at: float


Move = Literal["wait", "take", "renew"]


def decide(seen: Seen, identity: str, now: float, duration: float) -> Move:
    """Decide a candidate's move on a lease: renew its own, take one that is unheld or expired, or wait."""
    holder = seen.lease.spec.holderIdentity
    if holder == identity:
        return "renew"
    if not holder:
        return "take"
    held_for = seen.lease.spec.leaseDurationSeconds or duration
    return "take" if now - seen.at >= held_for else "wait"


def claimed(lease: Lease, identity: str, now: datetime, duration: float) -> Lease:
    """Return the lease with this candidate as its holder, as of now."""
    new = copied(lease)
    stamp = base.micro_time(now)
    if new.spec.holderIdentity != identity:
        new.spec.leaseTransitions = (new.spec.leaseTransitions or 0) + 1
        new.spec.acquireTime = stamp
    new.spec.holderIdentity = identity
    new.spec.leaseDurationSeconds = max(int(duration), 1)
    new.spec.renewTime = stamp
    return new


class LeaderElector:
    """Candidate in the election for the Lease `namespace/name`, as `identity`, which must be unique among the candidates."""

    def __init__(
        self,
        client: Client,
        name: str,
        identity: str,
        *,
        clock: Clock,
        namespace: str = DEFAULTS.resource_namespace,
        timing: Timing = TIMING,
        rng: random.Random | None = None,
    ) -> None:
        if not timing.duration > timing.renew_deadline > timing.retry > 0:
            raise ValueError("a lease must outlast the renew deadline, and that a retry")
        self.identity = identity
        self.is_leader = False
        self._client = client
        self._name, self._namespace = name, namespace
        self._clock = clock
        self.timing = timing
        self.heard_at = float("-inf")
        """Time (monotonic) at which the API server last told the state of the lease."""
        self._rng = rng or random.Random()
        self._seen: Seen | None = None

    @property
    def leader(self) -> str:
        """Identity of the current leader as far as known; empty when there is none."""
        return (self._seen.lease.spec.holderIdentity or "") if self._seen else ""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to be elected, then run `lead` while the lease is renewed; return when it returns.

        Raises LeadershipLost, after `lead` was cancelled, when the lease could not be renewed in time. However it ends, a lease that is
        still held is given up, so that the next leader need not wait.
        """
        await self._acquire()
        self._set_leading(True)
        log.info("became leader", extra={"lease": self._name, "identity": self.identity})
        work: asyncio.Task[None] = asyncio.ensure_future(_awaited(lead))
        renewing = asyncio.ensure_future(self._renew_until_lost())
        lost = False
        try:
            await asyncio.wait([work, renewing], return_when=asyncio.FIRST_COMPLETED)
            lost = not work.done()
            if not lost:
                work.result()
        finally:
            await cancel_and_wait(renewing)
            await cancel_and_wait(work)
            self._set_leading(False)
            if not lost:
                await self._release()
        if lost:
            raise LeadershipLost(self._name)

    async def _acquire(self) -> None:
        while not await self._try():
            await self._clock.sleep(self.timing.retry * (1 + 1.2 * self._rng.random()))

    async def _renew_until_lost(self) -> None:
        """Renew at every retry period; return when no renewal succeeded within the deadline."""
        renewed = self._clock.monotonic()
        while self._clock.monotonic() - renewed < self.timing.renew_deadline:
            await self._clock.sleep(self.timing.retry)
            left = self.timing.renew_deadline - (self._clock.monotonic() - renewed)
            try:
                async with asyncio.timeout(max(left, 0.001)):
                    if await self._try():
                        renewed = self._clock.monotonic()
            except TimeoutError:
                break
        log.error("leadership lost", extra={"lease": self._name, "identity": self.identity})

    async def _try(self) -> bool:
        """Try once to hold the lease; returns whether this process holds it now."""
        try:
            await self._read()
            assert self._seen is not None
            if decide(self._seen, self.identity, self._clock.monotonic(), self.timing.duration) == "wait":
                return False
            lease = claimed(self._seen.lease, self.identity, self._clock.now(), self.timing.duration)
            if lease.metadata.resourceVersion:
                self._note(await self._client.update(lease))
            else:
                self._note(await self._client.create(lease))
        except (Conflict, AlreadyExists):
            return False
        except (StatusError, ConnectionError) as error:
            log.warning("leader election request failed", extra={"lease": self._name, "error": str(error)})
            return False
        return True

    async def _read(self) -> None:
        try:
            self._note(await self._client.get(Lease, self._name, self._namespace))
        except NotFound:
            meta = ObjectMeta(name=self._name, namespace=self._namespace)
            self._seen = Seen(Lease(metadata=meta, spec=LeaseSpec()), self._clock.monotonic())

    def _note(self, lease: Lease) -> None:
        """Record the lease; one that has not changed keeps the time at which it was first seen."""
        self.heard_at = self._clock.monotonic()
        if self._seen is None or self._seen.lease.spec != lease.spec:
            self._seen = Seen(lease, self._clock.monotonic())
        else:
            self._seen = Seen(lease, self._seen.at)

    async def _release(self) -> None:
        if self._seen is None or self._seen.lease.spec.holderIdentity != self.identity:
            return
        # The next leader waits for the lease to expire when this fails: nothing is lost but time.
        with contextlib.suppress(StatusError, ConnectionError, TimeoutError):
            async with asyncio.timeout(self.timing.retry):
                # A renewal may have been written though it was cancelled before its answer came.
                await self._read()
                lease = copied(self._seen.lease)
                if lease.spec.holderIdentity != self.identity:
                    return
                now = base.micro_time(self._clock.now())
                lease.spec.holderIdentity = ""
                lease.spec.leaseDurationSeconds = 1
                lease.spec.renewTime = lease.spec.acquireTime = now
                self._note(await self._client.update(lease))

    def _set_leading(self, leading: bool) -> None:
        self.is_leader = leading
        LEADING.labels(self._name).set(int(leading))


async def _awaited(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()


def new_identity(host: str, rng: random.Random) -> str:
    """Return a unique identity for a process: its host name and a random part, as in client-go."""
    return f"{host}_{msgspec.json.encode(rng.getrandbits(64)).decode()}"
