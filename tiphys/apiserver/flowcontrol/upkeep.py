"""The objects behind priority and fairness: written and kept as upstream does, followed, and told their state.

The mandatory ones are always restored; the suggested ones are made at a start and follow this server's version until
somebody takes them over ("API Priority and Fairness: Maintenance of the mandatory and suggested configuration objects").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from tiphys.api.flowcontrol import v1 as flow
from tiphys.api.helpers.flow_levels import (
    AUTO_UPDATE,
    MANDATORY_LEVELS,
    MANDATORY_SCHEMAS,
    SUGGESTED_LEVELS,
    SUGGESTED_SCHEMAS,
)
from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.cache.typed_source import TypedSource
from tiphys.apiserver.flowcontrol.fairness import Fairness

log = logging.getLogger(__name__)

ObjectT = TypeVar("ObjectT", flow.FlowSchema, flow.PriorityLevelConfiguration)
Write = Callable[[str, KubeObject, str], Awaitable[None]]
"""Sends a method, an object and a subresource; one that is gone or has changed meanwhile is no failure."""
AGAIN_SECONDS = 60.0
RETRY_SECONDS = 1.0
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def revised(current: ObjectT, desired: ObjectT, *, mandatory: bool) -> ObjectT | None:
    """The object as the server maintains it, or None when it may stay. A suggested one that a user has changed is the user's."""
    annotation = current.metadata.annotations.get(AUTO_UPDATE, "")
    if mandatory:
        ours = True
    elif annotation in _TRUE or annotation in _FALSE:
        ours = annotation in _TRUE
    else:
        ours = current.metadata.generation == 1
    says_so = annotation in (_TRUE if ours else _FALSE)
    spec: Any = desired.spec
    if mandatory and isinstance(current, flow.PriorityLevelConfiguration) and current.spec.type == "Exempt":
        # What is exempt may be given shares to lend; the rest of it is fixed.
        spec = msgspec.structs.replace(spec, exempt=current.spec.exempt)
    if says_so and (not ours or current.spec == spec):
        return None
    annotations = {**current.metadata.annotations, AUTO_UPDATE: "true" if ours else "false"}
    metadata = msgspec.structs.replace(current.metadata, annotations=annotations)
    return msgspec.structs.replace(current, metadata=metadata, spec=spec if ours else current.spec)


def dangling(schema: flow.FlowSchema, missing: bool, now: datetime) -> flow.FlowSchemaCondition | None:
    """The condition that says whether a schema's level exists, or None when it says so already."""
    name = schema.spec.priorityLevelConfiguration.name
    ending = "but there is no such object" if missing else "and it exists"
    desired = flow.FlowSchemaCondition(
        type="Dangling",
        status="True" if missing else "False",
        lastTransitionTime=now,
        reason="NotFound" if missing else "Found",
        message=f'This FlowSchema references the PriorityLevelConfiguration object named "{name}" {ending}',
    )
    for condition in schema.status.conditions:
        if condition.type == "Dangling":
            if (condition.status, condition.reason, condition.message) == (desired.status, desired.reason, desired.message):
                return None
            if condition.status == desired.status:
                desired.lastTransitionTime = condition.lastTransitionTime
    return desired


def _settings(obj: KubeObject) -> tuple[Any, ...]:
    return getattr(obj, "spec", None), obj.metadata.uid, obj.metadata.annotations


class Upkeep:
    """Keeps the objects, and `Fairness` in line with them."""

    def __init__(self, fairness: Fairness, source: TypedSource, write: Write, now: Callable[[], datetime]) -> None:
        self._fairness = fairness
        self._source = source
        self._write = write
        self._now = now
        self._changed = asyncio.Event()
        self._configuring = False

    async def ensure(self, *, suggested: bool) -> None:
        """Write missing and deviating objects. Raises the errors of `write`."""
        await asyncio.gather(
            *self._kept(MANDATORY_LEVELS.values(), mandatory=True),
            *self._kept(MANDATORY_SCHEMAS.values(), mandatory=True),
            *(self._kept(SUGGESTED_LEVELS.values(), mandatory=False) if suggested else ()),
            *(self._kept(SUGGESTED_SCHEMAS.values(), mandatory=False) if suggested else ()),
        )

    def _kept(self, objects: Iterable[ObjectT], *, mandatory: bool) -> Iterable[Awaitable[None]]:
        for desired in objects:
            current = self._source.get(type(desired), "", desired.metadata.name)
            if current is None:
                yield self._write("POST", desired, "")
            elif (changed := revised(current, desired, mandatory=mandatory)) is not None:
                yield self._write("PUT", changed, "")

    async def follow(self) -> None:
        """Take over the objects, and every change from now on; write each schema's condition. Raises the errors of `write`."""
        for type_ in (flow.FlowSchema, flow.PriorityLevelConfiguration):
            self._source.on_change(type_, self._note)
        await self.settle()

    def _note(self, old: KubeObject | None, new: KubeObject | None) -> None:
        # Statuses change nothing here, and this writes them itself.
        if old is not None and new is not None and _settings(old) == _settings(new):
            return
        self._changed.set()
        if not self._configuring:
            self._configuring = True
            asyncio.get_running_loop().call_soon(self._configure)

    def _configure(self) -> None:
        self._configuring = False
        self._fairness.configure(self._source.objects(flow.FlowSchema), self._source.objects(flow.PriorityLevelConfiguration))

    async def settle(self) -> None:
        """Restore mandatory objects and write the conditions of schemas; raises the errors of `write`."""
        self._configure()
        await self.ensure(suggested=False)
        await asyncio.gather(*(self._tell(schema) for schema in tuple(self._source.objects(flow.FlowSchema))))

    async def run(self) -> None:
        """Settle whenever something changes, and every minute, until cancelled."""
        while True:
            # Not wait_for: in Python 3.11 it loses a cancellation that arrives together with the awaited event.
            again = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                again.cancel()
            self._changed.clear()
            try:
                await self.settle()
            except Exception:
                log.exception("keeping flow schemas and priority levels failed")
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()

    async def _tell(self, schema: flow.FlowSchema) -> None:
        missing = self._fairness.dangling.get(schema.metadata.name)
        condition = None if missing is None else dangling(schema, missing, self._now())
        if condition is not None:
            others = [other for other in schema.status.conditions if other.type != condition.type]
            status = flow.FlowSchemaStatus(conditions=[*others, condition])
            await self._write("PUT", msgspec.structs.replace(schema, status=status), "status")
