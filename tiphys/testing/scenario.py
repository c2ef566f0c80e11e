"""Scenarios: commands and what they lead to, as text that people read and a flag rewrites.

    clock 2026-03-07T00:00:00Z
    ----

    watch Job status.succeeded
    ----

    wait 1d
    ----
    2026-03-07T02:30:00Z Job/default/nightly-29546070 added

A step is a command, its input (indented), a line of dashes, and the trace: what the watched kinds did until the next command. A blank
line ends it. Lines that begin with `#` are kept. The first command sets the clock. The commands are methods of `Stage`.

A scenario needs a loop whose time is virtual. It begins with a server of its own, real but for its store, which is in memory.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import msgspec
import yaml

from tiphys.aio.clock import VirtualClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.machinery.errors import AlreadyExists, StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.controllers.registry import LOOPS, all_controllers
from tiphys.controllers.settings import ControllerSettings
from tiphys.node.hollow.behavior import BehaviorError
from tiphys.node.hollow.fleet import Fleet
from tiphys.node.hollow.rules import API_VERSION, KIND, parse_rules
from tiphys.node.hollow.settings import HollowSettings
from tiphys.runtime import Manager
from tiphys.scheduler.scheduler import Scheduler
from tiphys.store.memory import MemoryStore
from tiphys.testing.api_server import ClientFor, running_api_server
from tiphys.testing.eventually import eventually
from tiphys.testing.trace import Trace
from tiphys.testing.usage import Curve, UsageTransport

DASHES: Final = "----"
MOMENT = 0.001
"""Seconds of virtual time in which all that takes no time happens."""
_LENGTH = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")

Actor = Callable[..., Coroutine[Any, Any, None]]
"""Somebody who plays a part, such as nodes that run pods: called with a client and words of the command, until cancelled."""


class ScenarioError(ValueError):
    """A scenario that cannot be understood."""


@dataclass(slots=True)
class Step:
    """A command and its trace."""

    remarks: list[str]
    command: str
    body: list[str]
    trace: list[str] = field(default_factory=list)

    @property
    def input(self) -> str:
        """Text below the command, without the indentation."""
        return dedent("\n".join(self.body))

    def __str__(self) -> str:
        return "\n".join([*self.remarks, self.command, *self.body, DASHES, *self.trace]) + "\n"


def parse(text: str) -> list[Step]:
    """Return the steps of a scenario. Raises ScenarioError."""
    steps = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        remarks = [line for line in lines if line.startswith("#")]
        rest = lines[len(remarks) :]
        if not rest or DASHES not in rest:
            raise ScenarioError(f"a step needs a command and a line of dashes: {block!r}")
        end = rest.index(DASHES)
        steps.append(Step(remarks, rest[0], rest[1:end], rest[end + 1 :]))
    return steps


def length(text: str) -> timedelta:
    """Return a length such as `1d12h` or `90s`. Raises ScenarioError."""
    parts = _LENGTH.fullmatch(text)
    if not text or parts is None:
        raise ScenarioError(f"not a length: {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


async def play(text: str, directory: Path, actors: Mapping[str, Actor] | None = None, *, settings: ControllerSettings | None = None) -> str:
    """Play a scenario, with the server's files under `directory`, and return its text with the trace as it was.

    `settings` are those of the control loops. Raises ScenarioError for a scenario that cannot be understood, and what ended a control loop,
    an actor or a watch.
    """
    steps = parse(text)
    word, _, moment = steps[0].command.partition(" ")
    if word != "clock":
        raise ScenarioError("the first command must be `clock`")
    clock = VirtualClock(datetime.fromisoformat(moment))
    store = MemoryStore(clock=clock)
    async with running_api_server(directory, clock=clock, store=store) as (_, client_for):
        stage = Stage(client_for, actors or {}, settings or ControllerSettings())
        try:
            for step in steps:
                step.trace = await stage.perform(step)
        finally:
            await stage.close()
    return "\n".join(map(str, steps))


class Stage:
    """Performer of commands. A command is the method of its name: it gets the step, and the words that follow."""

    def __init__(self, client_for: ClientFor, actors: Mapping[str, Actor], settings: ControllerSettings) -> None:
        self._client_for = client_for
        self._client = client_for()
        self._loop_client = client_for("system:kube-controller-manager")
        self._usage = UsageTransport(self._loop_client.transport, self._client)
        self._loop_client.transport = self._usage
        self._settings = settings
        self._actors = actors
        self._trace = Trace(self._client)
        self._playing: dict[str, asyncio.Task[None]] = {}
        self._now = self._client.clock.now()

    async def perform(self, step: Step) -> list[str]:
        """Perform a step and return its trace. Raises ScenarioError for a command that there is not."""
        word, *words = step.command.split()
        command = getattr(self, f"do_{word}", None)
        if command is None:
            raise ScenarioError(f"no such command: {step.command}")
        lines: Sequence[str] = ()
        try:
            lines = await command(step, *words) or ()
        except StatusError as error:
            lines = [f"{error.reason}: {error}"]
        await self._client.clock.sleep(MOMENT)
        for task in self._playing.values():
            if task.done():
                task.result()
        return [*lines, *self._trace.take()]

    async def close(self) -> None:
        """End everything that was begun."""
        for name in list(self._playing):
            await self._end(name)
        await self._trace.close()

    async def _begin(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Let somebody play a part from now on, instead of whoever does."""
        await self._end(name)
        self._playing[name] = asyncio.create_task(part, name=name)

    async def _end(self, name: str) -> None:
        if name in self._playing:
            await cancel_and_wait(self._playing.pop(name))

    async def do_clock(self, _: Step, *words: str) -> None:
        """`clock TIME`, only at the beginning."""

    async def do_wait(self, _: Step, text: str) -> None:
        """`wait 1d12h`."""
        self._now += length(text)
        await self._client.clock.sleep((self._now - self._client.clock.now()).total_seconds())

    async def do_loops(self, _: Step, *names: str) -> None:
        """`loops NAME...` runs these control loops from now on instead of those before: `all` of them, or none without a name."""
        await self._end("loops")
        available = {loop.declaration.name for loop in LOOPS}
        selected = available if names == ("all",) else set(names)
        if not selected <= available:
            raise ScenarioError(f"no such loop: {', '.join(sorted(selected - available))}")
        if selected:
            manager = Manager(self._loop_client, clock=self._loop_client.clock, rng=self._loop_client.rng)
            manager.add_all(loop for loop in all_controllers(self._settings) if loop.declaration.name in selected)
            await self._begin("loops", manager.run())
            await eventually(lambda: manager.synced)

    async def do_scheduler(self, _: Step) -> None:
        """`scheduler` runs the scheduler."""
        client = self._client_for("system:kube-scheduler")
        await self._begin("scheduler", Scheduler(client, clock=client.clock, rng=random.Random(1)).run())

    async def do_nodes(self, step: Step, count: str, heartbeat: str = "10s") -> None:
        """`nodes COUNT [HEARTBEAT]` runs hollow nodes, which renew their Leases at that interval; rules for their pods are its input."""
        document = {"apiVersion": API_VERSION, "kind": KIND, "rules": yaml.safe_load(step.input) or []}
        try:
            rules = parse_rules(yaml.safe_dump(document), step.command)
        except BehaviorError as error:
            raise ScenarioError(str(error)) from error
        settings = HollowSettings(count=int(count), heartbeat=length(heartbeat).total_seconds())
        fleet = Fleet(settings, self._client, rules=rules, clock=self._client.clock, rng=random.Random(1))
        await self._begin("nodes", fleet.run())
        await eventually(lambda: fleet.synced)

    async def do_metrics(self, step: Step) -> None:
        """`metrics` gives the ready pods a load to share, as control loops see it: its input has quantities by time of day and resource.

        Without input the resource metrics API is unavailable from now on.
        """
        try:
            self._usage.curves = {name: Curve(points) for name, points in (yaml.safe_load(step.input) or {}).items()}
        except ValueError as error:
            raise ScenarioError(f"{step.command}: {error}") from error

    async def do_watch(self, _: Step, kind_name: str, *paths: str) -> None:
        """`watch KIND[LABELS] PATH...` traces the objects of a kind from now on, and their fields at the paths.

        A path in capitals is a column of `kubectl get`. `watch Event KIND...` traces events about objects of these kinds, or about all.
        """
        kind, labels = self._selected(kind_name)
        await self._trace.watch(kind, paths, labels)

    async def do_count(self, _: Step, kind_name: str, *paths: str) -> None:
        """`count KIND[LABELS] PATH...` traces how many objects of a kind have the same fields at the paths."""
        kind, labels = self._selected(kind_name)
        await self._trace.count(kind, paths, labels)

    async def do_show(self, _: Step, kind_name: str, name: str, *paths: str) -> list[str]:
        """`show KIND NAME PATH...` traces an object as it is."""
        kind = self._kind(kind_name)
        obj = await self._client.get(kind, name, _namespace(kind))
        return [f"{path}={self._trace.show(kind, obj, path)}" for path in paths]

    async def do_apply(self, step: Step) -> None:
        """`apply` creates the objects of its input, or replaces those that are there."""
        for document in yaml.safe_load_all(step.input):
            kind = self._kind(document["kind"])
            obj = msgspec.convert(document, kind.type, strict=False)
            obj.metadata.namespace = obj.metadata.namespace or _namespace(kind)
            try:
                await self._client.create(obj, kind=kind)
            except AlreadyExists:
                await self._client.update(obj, kind=kind)

    async def do_patch(self, step: Step, kind_name: str, name: str, subresource: str = "") -> None:
        """`patch KIND NAME [SUBRESOURCE]` merges its input into an object."""
        kind = self._kind(kind_name)
        body = yaml.safe_load(step.input)
        await self._client.patch(kind, name, _namespace(kind), body=body, subresource=subresource)

    async def do_delete(self, _: Step, kind_name: str, name: str, propagation: str = "Background") -> None:
        """`delete KIND NAME [PROPAGATION]`."""
        kind = self._kind(kind_name)
        await self._client.delete(kind, name, _namespace(kind), propagation=propagation)

    async def do_act(self, _: Step, name: str, *words: str) -> None:
        """`act NAME WORD...` begins an actor."""
        if name not in self._actors:
            raise ScenarioError(f"no such actor: {name}")
        await self._begin(name, self._actors[name](self._client, *words))

    async def do_end(self, _: Step, name: str) -> None:
        """`end NAME` ends an actor, `scheduler` or `nodes`."""
        if name not in self._playing:
            raise ScenarioError(f"nothing to end: {name}")
        await self._end(name)

    def _selected(self, text: str) -> tuple[Kind[Any], str]:
        """Return the kind and the label selector of `KIND[LABELS]`."""
        name, _, labels = text.rstrip("]").partition("[")
        return self._kind(name), labels

    def _kind(self, name: str) -> Kind[Any]:
        for kind in self._client.scheme:
            if kind.hub.kind == name:
                return kind.hub
        raise ScenarioError(f"no such kind: {name}")


def _namespace(kind: Kind[Any]) -> str:
    """Return the namespace of objects that name none."""
    return "default" if kind.namespaced else ""
