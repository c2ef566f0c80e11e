"""Volumes that any claim may take, arranged so that a volume for each of thousands of claims is found in time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume
from tiphys.api.helpers.volume_binding import FILESYSTEM, STORAGE
from tiphys.controllers.persistentvolume.release import AVAILABLE
from tiphys.runtime import Informer, Key
from tiphys.runtime.cache import Cache

Shape = tuple[str, str, tuple[str, ...], str]
"""Mode, attributes class, access modes and capacity of a volume: all that claims without a selector look at."""


def is_free(volume: core.PersistentVolume) -> bool:
    """Return whether any claim may take a volume."""
    return volume.spec.claimRef is None and volume.status.phase == AVAILABLE and volume.metadata.deletionTimestamp is None


class FreeVolumes:
    """The free volumes of an informer: the names of each class and shape, in order."""

    def __init__(self, volumes: Informer[core.PersistentVolume] | Cache[core.PersistentVolume]) -> None:
        self._volumes = volumes
        self._places: dict[str, tuple[str, Shape]] = {}
        self._names: dict[str, dict[Shape, list[str]]] = {}
        volumes.subscribe(self._change)

    def offered_to(self, claim: core.PersistentVolumeClaim, excluded: Collection[str]) -> list[core.PersistentVolume]:
        """Return volumes of a claim's class, among them the best that is not excluded: of those that are alike only the first, unless
        the claim has a selector, which may tell them apart.
        """
        shapes = self._names.get(class_of_claim(claim), {}).values()
        if claim.spec.selector is not None:
            names = [name for alike in shapes for name in alike]
        else:
            firsts = (next((name for name in alike if name not in excluded), None) for alike in shapes)
            names = [name for name in firsts if name is not None]
        volumes = (self._volumes.get(Key("", name)) for name in names)
        return [volume for volume in volumes if volume is not None]

    def _change(self, old: core.PersistentVolume | None, new: core.PersistentVolume | None) -> None:
        volume = new if new is not None else old
        assert volume is not None
        name = volume.metadata.name
        place = _place(volume) if new is not None and is_free(new) else None
        before = self._places.pop(name, None)
        if place is not None:
            self._places[name] = place
        if place == before:
            return
        if before is not None:
            alike = self._names[before[0]][before[1]]
            del alike[bisect_left(alike, name)]
            if not alike:
                del self._names[before[0]][before[1]]
        if place is not None:
            insort(self._names.setdefault(place[0], {}).setdefault(place[1], []), name)


def _place(volume: core.PersistentVolume) -> tuple[str, Shape]:
    spec = volume.spec
    mode, attributes, modes = spec.volumeMode or FILESYSTEM, spec.volumeAttributesClassName or "", tuple(sorted(set(spec.accessModes)))
    return class_of_volume(volume), (mode, attributes, modes, spec.capacity.get(STORAGE, ""))
