"""A driver holds what pods need and nothing else, as pods come and go, calls fail, and kubelets die at any step."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.node.csi.keeper import Crash, Keeper, Steps
from tests.unit.node.csi.scripted import STAGE, ScriptedDriver, refuse, refuse_after
from tests.unit.node.csi.world import World, inline_of, running_world, spec_of, volume_of
from tiphys.aio.clock import VirtualClock
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.csi.errors import Deadline, Failed, Pending, Unavailable
from tiphys.node.csi import volume_data
from tiphys.node.volumes.plugin import VolumeSpec
from tiphys.testing.memory_api import MemoryApi

SHARED, BLOCK = volume_of("shared", modes=("ReadWriteMany",)), volume_of("block", block=True)
CLAIMS: dict[str, Callable[[str], VolumeSpec]] = {
    "shared": lambda uid: spec_of(SHARED, uid),
    "block": lambda uid: spec_of(BLOCK, uid),
    "inline": inline_of,
}
PODS = ("u1", "u2")
FAULTS = (
    refuse(Failed("no")),
    refuse(Unavailable("nobody there")),
    refuse_after(Unavailable("died")),
    refuse_after(Deadline("late")),
    refuse_after(Pending("busy")),
)
VERBS = ("NodeStageVolume", "NodePublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume")
Wanted = dict[tuple[str, str], VolumeSpec]


@contextmanager
def file_steps(steps: list[Steps]) -> Iterator[None]:
    """Let the process die around every change of a data file as well."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("save", "remove"):
            patch.setattr(volume_data, name, _stepping(getattr(volume_data, name), steps))
        yield


def _stepping(work: Callable[..., Any], steps: list[Steps]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        steps[-1].step()
        result = work(*args)
        steps[-1].step()
        return result

    return call


class Machine:
    """A node whose kubelets die and are replaced."""

    def __init__(self, world: World, driver: ScriptedDriver, steps: list[Steps]) -> None:
        self.world, self.driver, self.steps = world, driver, steps
        self.wanted: Wanted = {}
        self.start()

    def start(self, crash_at: int = -1) -> None:
        """Start the next kubelet, which dies after so many steps."""
        self.steps.append(Steps(crash_at))
        self.driver.step = self.steps[-1].step
        self.keeper = Keeper(self.world.root, self.world.plugin, self.steps[-1])

    def toggle(self, uid: str, claim: str) -> None:
        """Let a pod's volume be wanted, or not any more."""
        spec = CLAIMS[claim](uid)
        if self.wanted.pop((uid, spec.name), None) is None:
            self.wanted[uid, spec.name] = spec

    async def reconcile(self) -> bool:
        """Work once; a kubelet that dies on the way is replaced by a sound one."""
        try:
            return await self.keeper.reconcile(self.wanted)
        except Crash:
            self.start()
            return False

    async def settle(self) -> None:
        """Work without faults until all is as it should be, and look at the driver."""
        self.driver.faults.clear()
        self.start()
        assert await self.keeper.reconcile(self.wanted)
        assert self.driver.wrongs == []
        records = {record.path: record.data["handle"] for record in self.keeper.mounts()}
        assert {(record.uid, record.name) for record in self.keeper.mounts()} == set(self.wanted)
        assert self.driver.published == records
        staged = {spec.pv.spec.csi.volumeHandle for spec in self.wanted.values() if spec.pv is not None and spec.pv.spec.csi is not None}
        assert set(self.driver.staged) == staged

    async def empty(self) -> None:
        """Let all pods go: nothing is left on the disk either."""
        self.wanted.clear()
        await self.settle()
        assert [path for path in self.world.root.rglob("*") if not path.is_dir()] == []


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


async def play(script: Callable[[Machine], Any]) -> None:
    """Run a script on a machine of its own, then look at what it left."""
    driver = ScriptedDriver(STAGE)
    steps: list[Steps] = []
    async with MemoryApi.running(clock=VirtualClock()) as api:
        api.add(core.Node(metadata=ObjectMeta(name="n1")))
        with scratch() as root, file_steps(steps):
            async with running_world(api, root, driver) as world:
                world.add_driver_object(volumeLifecycleModes=["Persistent", "Ephemeral"])
                machine = Machine(world, driver, steps)
                await script(machine)
                await machine.settle()
                await machine.empty()


MOVES = st.one_of(
    st.tuples(st.just("toggle"), st.sampled_from(PODS), st.sampled_from(sorted(CLAIMS))),
    st.tuples(st.just("fault"), st.sampled_from(VERBS), st.sampled_from(FAULTS)),
    st.tuples(st.just("crash"), st.integers(0, 40), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


@settings(max_examples=60)
@given(st.lists(st.lists(MOVES, min_size=1, max_size=4), min_size=1, max_size=8))
async def test_a_driver_holds_what_pods_need(rounds: list[list[tuple[str, Any, Any]]]) -> None:
    async def script(machine: Machine) -> None:
        for move, first, second in itertools.chain.from_iterable([*moves, ("work", None, None)] for moves in rounds):
            if move == "toggle":
                machine.toggle(first, second)
            elif move == "fault":
                machine.driver.next(first, second)
            elif move == "work":
                await machine.reconcile()
            else:
                machine.start(first if move == "crash" else -1)

    await play(script)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
async def test_a_kubelet_that_dies_at_any_step(claim: str) -> None:
    async def script(machine: Machine) -> None:
        for wanted in (True, False):
            for crash_at in itertools.count():
                # From what it was before, towards what is wanted, dying one step later each time.
                for uid in PODS:
                    if bool(machine.wanted.get((uid, CLAIMS[claim](uid).name))) == wanted:
                        machine.toggle(uid, claim)
                await machine.settle()
                for uid in PODS:
                    machine.toggle(uid, claim)
                machine.start(crash_at)
                kubelet = machine.keeper
                await machine.reconcile()
                await machine.settle()
                if machine.keeper.steps is not kubelet.steps and kubelet.steps.left > 0:
                    break

    await play(script)
