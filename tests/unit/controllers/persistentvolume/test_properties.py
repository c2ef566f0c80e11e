"""Plans for claims and volumes, applied until nothing changes: they come to rest, in pairs that suit each other."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.persistentvolume.make import claim, reserved, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.helpers.volume_binding import bind_volume, storage
from tiphys.api.well_known import BOUND_BY_CONTROLLER
from tiphys.controllers.persistentvolume.plan import Sight, plan
from tiphys.controllers.persistentvolume.release import release, unbound
from tiphys.controllers.persistentvolume.status import bound, with_volume, without_volume

NAMES = ("a", "b", "c")
CLASSES = {"gold": storage_class(), "slow": storage_class("slow", delayed=True)}
OWNERS = st.sampled_from([None, *((name, uid) for name in NAMES for uid in ("", f"uid-{name}", "uid-gone"))])
VOLUMES = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["", "gold", "slow"]), OWNERS, st.sampled_from(["Retain", "Delete"])), max_size=5
)
CLAIMS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["", "gold", "slow"]), st.sampled_from(["", "v0", "v1", "v9"])), max_size=len(NAMES)
)


class World:
    """Volumes and claims, and the two plans."""

    def __init__(self, volumes: list[Any], claims: list[Any]) -> None:
        self.volumes = {
            f"v{number}": volume(
                f"v{number}", f"{size}Gi", storageClassName=name, policy=policy, claim=reserved(*owner) if owner else None, phase="Pending"
            )
            for number, (size, name, owner, policy) in enumerate(volumes)
        }
        self.claims = {
            name: claim(name, f"{size}Gi", storage_class=class_name, volume=wish, uid=f"uid-{name}")
            for name, (size, class_name, wish) in zip(NAMES, claims, strict=False)
        }

    def turn(self) -> bool:
        """Take a step for each object; returns whether anything changed."""
        before = msgspec.json.encode((self.volumes, self.claims))
        for name in self.claims:
            self._step_claim(name)
        for name in self.volumes:
            self._step_volume(name)
        return msgspec.json.encode((self.volumes, self.claims)) != before

    def _step_claim(self, name: str) -> None:
        owner = self.claims[name]
        sight = Sight(
            requested=self.volumes.get(owner.spec.volumeName),
            volumes=list(self.volumes.values()),
            storage_class=CLASSES.get(class_of_claim(owner)),
        )
        step = plan(owner, sight)
        if step.bind is not None:
            its = bind_volume(step.bind, owner)
            its = msgspec.structs.replace(its, status=core.PersistentVolumeStatus(phase="Bound"))
            owner = bound(owner, its.metadata.name)
            self.volumes[its.metadata.name] = its
            self.claims[name] = msgspec.structs.replace(owner, status=with_volume(owner.status, its))
        elif step.phase:
            self.claims[name] = msgspec.structs.replace(owner, status=without_volume(owner.status, step.phase))

    def _step_volume(self, name: str) -> None:
        its = self.volumes[name]
        reference = its.spec.claimRef
        owner = self.claims.get(reference.name) if reference is not None else None
        if owner is not None and reference is not None and owner.metadata.uid != reference.uid:
            owner = None
        step = release(its, owner)
        if step.unbind:
            its = unbound(its)
        if step.phase:
            its = msgspec.structs.replace(its, status=core.PersistentVolumeStatus(phase=step.phase))
        self.volumes[name] = its


@given(VOLUMES, CLAIMS)
def test_claims_and_volumes_come_to_rest_in_pairs_that_suit(volumes: list[Any], claims: list[Any]) -> None:
    world = World(volumes, claims)
    turns = 0
    while world.turn():
        turns += 1
        assert turns < 10
    pairs = [(one, world.volumes[one.spec.volumeName]) for one in world.claims.values() if one.status.phase == "Bound"]
    assert len({its.metadata.name for _, its in pairs}) == len(pairs)
    for owner, its in pairs:
        assert its.spec.claimRef is not None
        assert its.spec.claimRef.uid == owner.metadata.uid
        assert its.status.phase == "Bound"
        if BOUND_BY_CONTROLLER in owner.metadata.annotations:
            assert storage(its.spec.capacity) >= storage(owner.spec.resources.requests)
    assert sum(its.status.phase == "Bound" for its in world.volumes.values()) == len(pairs)
    for owner in world.claims.values():
        name = class_of_claim(owner)
        if owner.status.phase == "Pending" and not owner.spec.volumeName and name != "slow":
            free = [its for its in world.volumes.values() if its.spec.claimRef is None and its.spec.storageClassName == name]
            assert all(storage(its.spec.capacity) < storage(owner.spec.resources.requests) for its in free)
