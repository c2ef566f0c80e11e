"""Events: messages of controllers about objects, shown by `kubectl describe`.

`EventRecorder.event` returns at once and never fails; a task in the background writes. So that a loop that fails every second does not
flood the server, what it says is thinned in three steps, with the rules and numbers of client-go's event correlator:

1. spam filter: an object gets 25 events from one source at once, then one every five minutes;
2. aggregation: from the tenth different message of the same kind within ten minutes on, they become one event;
3. counting: the same event again raises `count` and `lastTimestamp` of the one that is there.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tiphys.aio.clock import Clock
from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.client.client import Client
from tiphys.obs.logging import get_logger

log = get_logger(__name__)

V = TypeVar("V")

REMEMBERED = 4096
BURST = 25
REFILL_SECONDS = 300.0
SIMILAR = 10
SIMILAR_SECONDS = 600.0
COMBINED = "(combined from similar events): "
PENDING = 1000
"""Maximum number of events waiting to be written; more are dropped."""

WRITE_TRIES = 12
WRITE_PAUSE = 10.0


class Recent(Generic[V]):
    """Values of the most recently used keys."""

    def __init__(self, make: Callable[[], V], limit: int = REMEMBERED) -> None:
        self._make = make
        self._limit = limit
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def __getitem__(self, key: Hashable) -> V:
        if key in self._values:
            self._values.move_to_end(key)
        else:
            self._values[key] = self._make()
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
        return self._values[key]


class _Bucket(msgspec.Struct):
    tokens: float = BURST
    at: datetime | None = None


class _Similar(msgspec.Struct):
    messages: dict[str, None] = {}
    at: datetime | None = None


class _Written(msgspec.Struct):
    event: core.Event | None = None


class Draft(NamedTuple):
    """Event to record, before rate limiting and aggregation."""

    about: core.ObjectReference
    type: str
    reason: str
    message: str
    at: datetime
    action: str = ""
    related: core.ObjectReference | None = None


class Correlator:
    """Decides on a draft. Pure: time comes with the draft, and the result is an event to create or to count."""

    def __init__(self, component: str, host: str) -> None:
        self._component = component
        self._host = host
        self._buckets: Recent[_Bucket] = Recent(_Bucket)
        self._similar: Recent[_Similar] = Recent(_Similar)
        self._written: Recent[_Written] = Recent(_Written)

    def admit(self, draft: Draft) -> core.Event | None:
        """Return the event to write (a count above 1 means that it may exist), or None when it is rate limited."""
        ident = tuple(getattr(draft.about, name) for name in ("kind", "namespace", "name", "uid", "apiVersion"))
        if not self._may_speak(self._buckets[ident], draft.at):
            return None
        similar = self._similar[(ident, draft.type, draft.reason)]
        if similar.at is None or (draft.at - similar.at).total_seconds() > SIMILAR_SECONDS:
            similar.messages = {}
        similar.at = draft.at
        similar.messages[draft.message] = None
        combined = len(similar.messages) >= SIMILAR
        if combined:
            # Only how many there are matters, and they must not pile up.
            similar.messages.pop(next(iter(similar.messages)))
        message = COMBINED + draft.message if combined else draft.message
        field = draft.about.fieldPath
        slot = self._written[(ident, field, draft.type, draft.reason, "" if combined else draft.message)]
        slot.event = self._event(draft, message) if slot.event is None else self._counted(slot.event, draft, message)
        return slot.event

    def _may_speak(self, bucket: _Bucket, now: datetime) -> bool:
        if bucket.at is not None:
            refill = (now - bucket.at).total_seconds() / REFILL_SECONDS
            bucket.tokens = min(bucket.tokens + max(refill, 0.0), BURST)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _event(self, draft: Draft, message: str) -> core.Event:
        about, at = draft.about, base.time(draft.at)
        nanoseconds = round(draft.at.timestamp() * 1e6) * 1000
        return core.Event(
            metadata=ObjectMeta(name=f"{about.name}.{nanoseconds:x}", namespace=about.namespace or "default"),
            involvedObject=about,
            type=draft.type,
            reason=draft.reason,
            message=message,
            action=draft.action,
            related=draft.related,
            source=core.EventSource(component=self._component, host=self._host),
            reportingComponent=self._component,
            reportingInstance=self._host,
            firstTimestamp=at,
            lastTimestamp=at,
            count=1,
        )

    def _counted(self, event: core.Event, draft: Draft, message: str) -> core.Event:
        event.count += 1
        event.lastTimestamp = base.time(draft.at)
        event.message = message
        return event


class EventRecorder:
    """Records events under the name of a component. The owner must `close` it."""

    def __init__(self, client: Client, component: str, *, clock: Clock, host: str = "", rng: random.Random | None = None) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng or random.Random()
        self._correlator = Correlator(component, host)
        self._pending: asyncio.Queue[core.Event] = asyncio.Queue(PENDING)
        self._tasks = TaskSet()
        self._last = datetime.min
        self._writing = False
        self.dropped = 0

    def event(
        self,
        obj: KubeObject | core.ObjectReference,
        type_: str,
        reason: str,
        message: str,
        *,
        action: str = "",
        related: core.ObjectReference | None = None,
    ) -> None:
        """Record an event about an object: `type_` is Normal or Warning, `reason` one CamelCase word, `message` a sentence."""
        try:
            draft = Draft(reference_to(obj), type_, reason, message[:1024], self._moment(), action, related)
            event = self._correlator.admit(draft)
            if event is not None:
                self._write_later(event)
        except Exception:
            log.exception("event could not be recorded", extra={"reason": reason})

    async def flush(self) -> None:
        """Wait until everything recorded so far is written or dropped."""
        await self._pending.join()

    async def close(self) -> None:
        """Stop writing; waiting events are dropped."""
        await self._tasks.close()

    def _moment(self) -> datetime:
        """Return the current time, but never the same twice, since names of events are derived from it."""
        now = self._clock.now()
        if self._last is not datetime.min and now <= self._last:
            now = self._last + timedelta(microseconds=1)
        self._last = now
        return now

    def _write_later(self, event: core.Event) -> None:
        try:
            self._pending.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        if not self._writing:
            self._tasks.spawn(self._write_all(), name="event recorder")
            self._writing = True

    async def _write_all(self) -> None:
        while True:
            event = await self._pending.get()
            try:
                await self._write_patiently(event)
            except Exception:
                log.exception("event could not be written", extra={"event": event.metadata.name})
            finally:
                self._pending.task_done()

    async def _write_patiently(self, event: core.Event) -> None:
        # The first wait is shortened by chance, lest all recorders come back at once when the server does.
        pause = WRITE_PAUSE * self._rng.random()
        for _ in range(WRITE_TRIES):
            try:
                await self._write(event)
            except StatusError as error:
                # The server has spoken: a namespace that is going away, for one, takes no events.
                log.debug("event refused", extra={"event": event.metadata.name, "error": str(error)})
                return
            except ConnectionError:
                await self._clock.sleep(pause)
                pause = WRITE_PAUSE
            else:
                return
        log.warning("event dropped", extra={"event": event.metadata.name})

    async def _write(self, event: core.Event) -> None:
        if event.count > 1:
            body = {"count": event.count, "lastTimestamp": event.lastTimestamp, "message": event.message}
            try:
                await self._client.patch(core.Event, event.metadata.name, event.metadata.namespace, body=body, kind="merge")
            except NotFound:
                # Events expire; this one begins again, with its count.
                pass
            else:
                return
        await self._client.create(event)


def reference_to(obj: KubeObject | core.ObjectReference) -> core.ObjectReference:
    """Return a reference to an object, as events carry it."""
    if isinstance(obj, core.ObjectReference):
        return obj
    meta = obj.metadata
    return core.ObjectReference(
        apiVersion=obj.apiVersion,
        kind=obj.kind,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resourceVersion=meta.resourceVersion,
    )
