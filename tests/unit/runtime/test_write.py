"""Writes that loops have in common."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.runtime import delete_exact, patch_status, update_present, write_status
from tiphys.runtime.apply import copied
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import pod


def _stored(api: MemoryApi) -> core.Pod:
    return api.list(core.Pod)[0]


async def test_a_status_is_written_only_when_it_differs(api: MemoryApi) -> None:
    api.add(pod("p"))
    known = _stored(api)
    assert await write_status(api.client(), known, copied(known.status)) is known
    assert api.writes() == []
    written = await write_status(api.client(), known, core.PodStatus(phase="Running"))
    assert written is not None
    assert written.status.phase == "Running"
    assert known.status.phase != "Running"
    assert _stored(api).status.phase == "Running"
    with pytest.raises(errors.Conflict):
        await write_status(api.client(), known, core.PodStatus(phase="Failed"))


async def test_missing_objects_are_no_error(api: MemoryApi) -> None:
    api.add(pod("p"))
    known, client = _stored(api), api.client()
    api.remove(core.Pod, "p", known.metadata.namespace)
    assert await write_status(client, known, core.PodStatus(phase="Failed")) is None
    assert await update_present(client, known) is None
    assert not await patch_status(client, core.Pod, known.metadata, {"phase": "Failed"})
    assert not await delete_exact(client, core.Pod, known.metadata)


async def test_only_this_very_object_is_deleted(api: MemoryApi) -> None:
    api.add(pod("p"))
    known, client = _stored(api), api.client()
    await write_status(client, known, core.PodStatus(phase="Running"))
    with pytest.raises(errors.Conflict):
        await delete_exact(client, core.Pod, known.metadata, unchanged=True)
    other = copied(known.metadata)
    other.uid = "another"
    with pytest.raises(errors.Conflict):
        await delete_exact(client, core.Pod, other)
    assert await delete_exact(client, core.Pod, known.metadata, grace=0)
    assert api.list(core.Pod) == []
