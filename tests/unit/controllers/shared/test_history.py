"""The history of a workload on a server: created once, renumbered, and kept apart from others' under the same name."""

from __future__ import annotations

import pytest

from tests.unit.controllers.shared.test_revisions import daemon_set
from tiphys.api.apps import v1 as apps
from tiphys.api.apps.daemon_set import default_daemon_set
from tiphys.api.machinery.errors import Conflict
from tiphys.controllers.shared.history import Recorded, forget, record
from tiphys.controllers.shared.revisions import choose, make_revision, revision_data
from tiphys.testing.fake_api import FakeApi


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(validate=True)


async def recorded(api: FakeApi, workload: apps.DaemonSet) -> Recorded:
    data = revision_data(workload)
    choice = choose(workload, api.list(apps.ControllerRevision), data, default_daemon_set)
    return await record(api.client(), workload, choice, data)


async def test_writes_only_what_differs(api: FakeApi) -> None:
    first = await recorded(api, daemon_set("a"))
    assert (first.revision.revision, first.collisions) == (1, 0)
    assert await recorded(api, daemon_set("a")) == first
    assert [call.verb for call in api.writes()] == ["create"]
    second = await recorded(api, daemon_set("b"))
    again = await recorded(api, daemon_set("a"))
    assert (second.revision.revision, again.revision.revision) == (2, 3)
    assert again.revision.metadata.uid == first.revision.metadata.uid
    assert [call.verb for call in api.writes()] == ["create", "create", "update"]


async def test_own_revision_that_the_cache_does_not_show_is_found(api: FakeApi) -> None:
    workload = daemon_set("a")
    data = revision_data(workload)
    stale = choose(workload, [], data, default_daemon_set)
    first = await record(api.client(), workload, stale, data)
    assert await record(api.client(), workload, stale, data) == first
    assert len(api.list(apps.ControllerRevision)) == 1


async def test_name_of_another_workload_is_avoided(api: FakeApi) -> None:
    workload = daemon_set("a")
    data = revision_data(workload)
    for collisions in range(2):
        taken = make_revision(workload, data, 1, collisions=collisions)
        taken.metadata.ownerReferences[0].uid = "uid-of-another"
        api.add(taken)
    made = await record(api.client(), workload, choose(workload, [], data, default_daemon_set), data)
    assert made.collisions == 2
    assert len(api.list(apps.ControllerRevision)) == 3


async def test_renumbering_from_a_stale_cache_is_a_conflict(api: FakeApi) -> None:
    await recorded(api, daemon_set("a"))
    await recorded(api, daemon_set("b"))
    workload = daemon_set("a")
    data = revision_data(workload)
    stale = choose(workload, api.list(apps.ControllerRevision), data, default_daemon_set)
    await record(api.client(), workload, stale, data)
    with pytest.raises(Conflict):
        await record(api.client(), workload, stale._replace(number=9), data)


async def test_forgets_revisions_that_did_not_change_meanwhile(api: FakeApi) -> None:
    first = (await recorded(api, daemon_set("a"))).revision
    await recorded(api, daemon_set("b"))
    await forget(api.client(), [first])
    await forget(api.client(), [first])
    assert [found.revision for found in api.list(apps.ControllerRevision)] == [2]
    third = (await recorded(api, daemon_set("a"))).revision
    await recorded(api, daemon_set("b"))
    await recorded(api, daemon_set("a"))
    with pytest.raises(Conflict):
        await forget(api.client(), [third])
