"""Places where volumes are attached, and volumes that may be detached."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.attachdetach.make import pod
from tests.unit.controllers.make import NOW
from tiphys.api.core import v1 as core
from tiphys.api.helpers.attachments import attachment_name, is_exclusive, parse_unique_name, unique_name
from tiphys.controllers.attachdetach.plan import Attachment, Claimant, Health, Held, conflict, needs_volumes, plan_attach, plan_node

LIMIT = 360.0
NODES = ["a", "b", "c", "d"]

CLAIMANTS = st.lists(st.sampled_from(NODES), unique=True).map(
    lambda nodes: [Claimant(name, "pv", (pod(f"p-{name}", name, born=NOW),)) for name in nodes]
)
ATTACHMENTS = st.lists(st.sampled_from(NODES), unique=True).map(lambda nodes: [Attachment(name) for name in nodes])


def test_names_are_those_of_upstream() -> None:
    # printf '%s%s%s' vol-1 disk.example.com node-1 | sha256sum
    assert attachment_name("disk.example.com", "vol-1", "node-1") == (
        "csi-19c42f43d69fa1f381555c6802be2757a07267e9705a867fd59297bc87dd0694"
    )
    assert unique_name("disk.example.com", "vol/1^x") == "kubernetes.io/csi/disk.example.com^vol/1^x"
    assert parse_unique_name("kubernetes.io/csi/disk.example.com^vol/1^x") == ("disk.example.com", "vol/1^x")
    assert parse_unique_name("kubernetes.io/nfs/x^y") is None
    assert parse_unique_name("kubernetes.io/csi/x") is None


@pytest.mark.parametrize(
    ("modes", "exclusive"),
    [
        ([], False),
        (["ReadWriteOnce"], True),
        (["ReadWriteOncePod"], True),
        (["ReadWriteOnce", "ReadOnlyMany"], False),
        (["ReadWriteMany"], False),
    ],
)
def test_volumes_for_one_node(modes: list[str], exclusive: bool) -> None:
    assert is_exclusive(modes) == exclusive


@given(CLAIMANTS, ATTACHMENTS, st.booleans())
def test_an_exclusive_volume_goes_to_one_node(claimants: list[Claimant], attachments: list[Attachment], exclusive: bool) -> None:
    step = plan_attach(claimants, attachments, exclusive=exclusive)
    after = [*attachments, *(Attachment(one.node) for one in step.attach)]
    assert len({one.node for one in after}) == len(after)
    if exclusive:
        assert len(after) <= max(1, len(attachments))
        assert bool(after) == bool(claimants or attachments)
    else:
        assert {one.node for one in claimants} <= {one.node for one in after}
        assert not step.blocked
    assert plan_attach(claimants, after, exclusive=exclusive).attach == []


def test_the_pod_that_waits_longest_comes_first_unless_it_is_being_deleted() -> None:
    old, older = NOW - timedelta(minutes=1), NOW - timedelta(minutes=2)
    claimants = [
        Claimant("a", "pv", (pod("young", "a", born=NOW), pod("leaving", "a", born=older, deleting=True))),
        Claimant("b", "pv", (pod("old", "b", born=old),)),
        Claimant("c", "pv", (pod("leaving", "c", born=older, deleting=True),)),
    ]
    assert [one.node for one in plan_attach(claimants, [], exclusive=True).attach] == ["b"]
    assert [one.node for one in plan_attach(claimants, [], exclusive=False).attach] == ["b", "a", "c"]


def test_messages_name_no_pods_of_other_namespaces() -> None:
    waiting, other, foreign = pod("w", "a"), pod("x", "b"), pod("y", "b")
    foreign.metadata.namespace = "elsewhere"
    exclusively = "Volume is already exclusively attached to one node and can't be attached to another"
    assert conflict(waiting, []) == exclusively
    assert conflict(waiting, [other]) == "Volume is already used by pod(s) x"
    assert conflict(waiting, [other, foreign]) == "Volume is already used by pod(s) x and 1 pod(s) in different namespaces"
    assert conflict(waiting, [foreign]) == "Volume is already used by 1 pod(s) in different namespaces"


def test_pods_need_their_volumes_until_they_have_ended() -> None:
    assert needs_volumes(pod("p", "a", deleting=True), "healthy")
    assert needs_volumes(pod("p", "a", deleting=True), "unhealthy")
    assert needs_volumes(pod("p", "a"), "out-of-service")
    assert not needs_volumes(pod("p", "a", deleting=True), "out-of-service")
    assert not needs_volumes(pod("p", "a", phase="Succeeded"), "healthy")
    assert not needs_volumes(pod("p", "a", phase="Failed", deleting=True), "healthy")


HELD = st.builds(
    Held,
    name=st.just(""),
    volume=st.just(""),
    attached=st.booleans(),
    leaving=st.booleans(),
    needed=st.booleans(),
    in_use=st.booleans(),
    since=st.floats(0, 1000),
)
HELDS = st.lists(HELD, max_size=5).map(
    lambda held: [dataclasses.replace(one, name=f"csi-{number}", volume=f"v{number}") for number, one in enumerate(held)]
)
REPORTED = st.none() | st.lists(st.sampled_from([f"v{number}" for number in range(7)]), unique=True).map(
    lambda names: [core.AttachedVolume(name=name) for name in names]
)
HEALTH: st.SearchStrategy[Health] = st.sampled_from(get_args(Health))


@given(HELDS, REPORTED, HEALTH, st.floats(0, 2000), st.none() | st.just(LIMIT))
def test_only_unused_volumes_are_detached(
    held: list[Held], reported: list[core.AttachedVolume] | None, health: Health, now: float, patience: float | None
) -> None:
    step = plan_node(held, reported, health, now=now, patience=patience)
    listed = {one.name for one in reported or ()}
    for one, force in step.detach:
        assert (one.needed, one.leaving) == (False, False)
        assert one.volume not in listed
        assert force is not None or not one.in_use
        assert force != "timeout" or (health == "unhealthy" and patience is not None and now >= one.since + patience)
        assert force != "out-of-service" or health == "out-of-service"
    assert step.recheck is None or 0 < step.recheck <= now + LIMIT + 1000


@given(HELDS, REPORTED, HEALTH, st.floats(0, 2000))
def test_a_report_is_written_once_and_before_volumes_are_detached(
    held: list[Held], reported: list[core.AttachedVolume] | None, health: Health, now: float
) -> None:
    step = plan_node(held, reported, health, now=now, patience=LIMIT)
    assert step.report is None or reported is not None
    after = reported if step.report is None else step.report
    again = plan_node(held, after, health, now=now, patience=LIMIT)
    assert again.report is None
    if after is not None:
        names = {one.name for one in after}
        assert names <= {one.volume for one in held if one.attached and not one.leaving}
        assert names >= {one.volume for one in held if one.attached and not one.leaving and one.needed}
    free = [one for one in held if not one.leaving and not one.needed and (not one.in_use or health == "out-of-service")]
    assert {one.name for one in free} <= {one.held.name for one in again.detach}


def held(**changes: bool | float | str) -> Held:
    one = Held(name="csi-0", volume="v0", attached=True, leaving=False, needed=False, in_use=True)
    return dataclasses.replace(one, **changes)  # type: ignore[arg-type]


def test_an_unhealthy_node_has_six_minutes() -> None:
    assert plan_node([held(since=100)], [], "unhealthy", now=200, patience=LIMIT).recheck == 260
    assert plan_node([held(since=100)], [], "unhealthy", now=460, patience=LIMIT).detach[0].force == "timeout"
    assert plan_node([held(since=100)], [], "healthy", now=460, patience=LIMIT).detach == []
    never = plan_node([held(since=100)], [], "unhealthy", now=1e6, patience=None)
    assert (never.detach, never.recheck) == ([], None)


def test_reports_keep_their_order() -> None:
    one, two = core.AttachedVolume(name="v1", devicePath=""), core.AttachedVolume(name="v0", devicePath="/dev/x")
    attached = [held(needed=True), held(name="csi-1", volume="v1", needed=True), held(name="csi-2", volume="v2", needed=True)]
    assert plan_node(attached, [one, two], "healthy", now=0, patience=LIMIT).report == [one, two, core.AttachedVolume(name="v2")]
