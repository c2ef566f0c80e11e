"""Claims that grow, and who is to expand their volumes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, get_args

import msgspec
import pytest

from tests.unit.controllers.attachdetach.make import bound
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.well_known import STORAGE_RESIZER
from tiphys.controllers.volumeexpand.controller import VolumeExpandController
from tiphys.controllers.volumeexpand.plan import expansion, source_of
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

SOURCES: dict[str, Any] = {
    "awsElasticBlockStore": core.AWSElasticBlockStoreVolumeSource(volumeID="vol-1"),
    "csi": core.CSIPersistentVolumeSource(driver="disk.example.com", volumeHandle="x"),
    "hostPath": core.HostPathVolumeSource(path="/data"),
    "local": core.LocalVolumeSource(path="/data"),
    "nfs": core.NFSVolumeSource(server="files", path="/"),
}


def pair(source: str = "csi", request: str = "2Gi", capacity: str = "1Gi") -> tuple[core.PersistentVolume, core.PersistentVolumeClaim]:
    volume, claim = bound()
    assert isinstance(volume, core.PersistentVolume)
    assert isinstance(claim, core.PersistentVolumeClaim)
    volume.spec.csi = None
    setattr(volume.spec, source, SOURCES[source])
    claim.spec.resources.requests = {"storage": Quantity(request)}
    claim.status.capacity = {"storage": Quantity(capacity)}
    return volume, claim


def events(api: MemoryApi) -> list[tuple[str, str, str, int]]:
    return [(one.type, one.reason, one.message, one.count or 1) for one in api.list(core.Event)]


def is_announced(api: MemoryApi, count: int) -> bool:
    return events(api) == [("Normal", "ExternalExpanding", EXTERNAL, count)]


EXTERNAL = "waiting for an external controller to expand this PVC"


async def test_a_claim_that_grows_is_told_of_once_for_each_size(api: MemoryApi) -> None:
    api.add(*pair(request="1Gi"))
    async with running_loops(api.client(), VolumeExpandController):
        await asyncio.sleep(10)
        assert events(api) == []
        for size, count in (("2Gi", 1), ("3Gi", 2)):
            _, claim = pair(request=size)
            api.add(claim)
            await eventually(partial(is_announced, api, count))
            claim.metadata.labels = {"turn": size}
            api.add(claim)
            await asyncio.sleep(10)
            assert events(api)[0][3] == count
    assert [call for call in api.writes() if call.resource != "events"] == []


async def test_claims_of_kinds_that_drivers_took_over_name_the_driver(api: MemoryApi) -> None:
    api.add(*pair("awsElasticBlockStore"))
    async with running_loops(api.client(), VolumeExpandController):
        await eventually(lambda: events(api) != [])
        await asyncio.sleep(10)
    message = "CSI migration enabled for kubernetes.io/aws-ebs; waiting for external resizer to expand the pvc"
    assert events(api) == [("Normal", "ExternalExpanding", message, 1)]
    claim = api.get(core.PersistentVolumeClaim, "data-1", "default")
    assert claim.metadata.annotations == {STORAGE_RESIZER: "ebs.csi.aws.com"}


async def test_a_volume_may_come_after_its_claim(api: MemoryApi) -> None:
    volume, claim = pair()
    api.add(claim)
    async with running_loops(api.client(), VolumeExpandController):
        await asyncio.sleep(10)
        assert events(api) == []
        api.add(volume)
        await eventually(lambda: events(api) != [])


@pytest.mark.parametrize("source", ["hostPath", "local", "nfs"])
def test_kinds_that_nothing_expands(source: str) -> None:
    volume, claim = pair(source)
    assert expansion(claim, volume) == ("Warning", f"{EXTERNAL}: volumes of the kind {source} are expanded by nothing in this cluster", "")


def test_claims_that_need_not_grow() -> None:
    for volume, claim in (pair(request="1Gi"), pair(request="1024Mi"), pair(request="500Mi")):
        assert expansion(claim, volume) is None
    volume, claim = pair()
    claim.status.phase = "Lost"
    assert expansion(claim, volume) is None
    volume, claim = pair()
    claim.metadata.uid = "another"
    assert expansion(claim, volume) is None


def test_every_source_of_a_volume_is_known() -> None:
    """A field that says where the data is has a type that ends in VolumeSource."""
    assert source_of(core.PersistentVolume()) == ""
    sources = {
        field.name: type_
        for field in msgspec.structs.fields(core.PersistentVolumeSpec)
        for type_ in get_args(field.type)
        if getattr(type_, "__name__", "").endswith("VolumeSource")
    }
    assert len(sources) == 22
    for name, type_ in sources.items():
        volume = core.PersistentVolume()
        setattr(volume.spec, name, type_())
        assert source_of(volume) == name
