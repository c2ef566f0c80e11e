"""Free volumes, arranged: a claim gets the one that it would get from all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.persistentvolume.make import claim, reserved, volume
from tiphys.api.core import v1 as core
from tiphys.api.helpers.volume_binding import find_matching_volume
from tiphys.api.meta.v1 import LabelSelector
from tiphys.controllers.persistentvolume.free import FreeVolumes
from tiphys.runtime.cache import Cache

NAMES = [f"v{number}" for number in range(6)]
VOLUMES = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["1Gi", "1024Mi", "2Gi"]),
    st.sampled_from(["", "gold"]),
    st.sampled_from([("ReadWriteOnce",), ("ReadWriteOnce", "ReadOnlyMany")]),
    st.sampled_from(["Filesystem", "Block"]),
    st.sampled_from(["Available", "Bound"]),
    st.sampled_from([None, "data"]),
    st.sampled_from([{}, {"disk": "fast"}]),
)


def made(name: str, size: str, class_name: str, modes: tuple[str, ...], mode: str, phase: str, owner: str | None, labels: Any) -> Any:
    its = volume(
        name, size, storageClassName=class_name, modes=modes, mode=mode, phase=phase, claim=reserved(owner) if owner is not None else None
    )
    its.metadata.labels = labels
    return its


@given(
    st.lists(VOLUMES | st.sampled_from(NAMES)), st.sampled_from(["", "gold"]), st.sets(st.sampled_from(NAMES), max_size=2), st.booleans()
)
def test_the_best_volume_is_among_those_offered(changes: list[Any], class_name: str, excluded: set[str], selects: bool) -> None:
    volumes: Cache[core.PersistentVolume] = Cache()
    free = FreeVolumes(volumes)
    present: dict[str, Any] = {}
    for change in changes:
        if isinstance(change, str):
            gone = present.pop(change, None)
            if gone is not None:
                # The last event about an object may show a state that was never seen before.
                gone.spec.storageClassName = "gold"
                volumes.drop(gone)
        else:
            present[change[0]] = made(*change)
            volumes.put(present[change[0]])
    owner = claim(storage_class=class_name)
    if selects:
        owner.spec.selector = LabelSelector(matchLabels={"disk": "fast"})
    everything = [one for one in present.values() if one.spec.claimRef is None]
    assert find_matching_volume(owner, free.offered_to(owner, excluded), excluded=excluded) == find_matching_volume(
        owner, everything, excluded=excluded
    )


def test_volumes_that_are_alike_stand_for_one_another() -> None:
    volumes: Cache[core.PersistentVolume] = Cache()
    free = FreeVolumes(volumes)
    for number in range(100):
        volumes.put(volume(f"v{number:02}"))
    volumes.put(volume("other", "6Gi"))
    assert [one.metadata.name for one in free.offered_to(claim(), {"v00", "v01"})] == ["v02", "other"]
