"""Conditions under which a loop believes its cache of pods, and pods that nobody counts."""

from __future__ import annotations

import pytest

from tests.unit.controllers.job.make import condition, job, pod
from tests.unit.controllers.make import NOW
from tiphys.api.batch import v1 as batch
from tiphys.api.machinery.errors import Conflict, Forbidden, InternalError
from tiphys.api.meta.v1 import OwnerReference
from tiphys.controllers.job.controller import unfinished, unsettled
from tiphys.controllers.job.orphans import is_left
from tiphys.controllers.job.sight import Sight

COUNTED = batch.JobStatus(succeeded=1)


def test_believes_what_it_wrote() -> None:
    sight = Sight("uid")
    assert not sight.trusts(COUNTED, 10, begun=5)
    sight.wrote(COUNTED)
    assert sight.trusts(COUNTED, 10, begun=5)
    assert sight.trusts(batch.JobStatus(succeeded=1, active=7), 10, begun=5), "only what is counted matters"
    assert not sight.trusts(batch.JobStatus(succeeded=2), 10, begun=5), "somebody else wrote that"
    uncounted = batch.UncountedTerminatedPods(failed=["x"])
    assert not sight.trusts(batch.JobStatus(succeeded=1, uncountedTerminatedPods=uncounted), 10, begun=5)


def test_believes_a_cache_that_is_as_new_as_the_answer_of_the_server() -> None:
    sight = Sight("uid")
    sight.read(COUNTED, "20")
    assert not sight.trusts(COUNTED, 19, begun=5)
    assert sight.trusts(COUNTED, 20, begun=5)


def test_believes_its_cache_about_jobs_that_came_into_being_before_its_eyes() -> None:
    new = batch.JobStatus()
    assert Sight("uid", born=6).trusts(new, 1, begun=5)
    assert not Sight("uid", born=5).trusts(new, 1, begun=5)
    assert not Sight("uid", born=6).trusts(COUNTED, 1, begun=5)


@pytest.mark.parametrize(
    ("error", "doubts"),
    [
        (ConnectionError("no answer"), True),
        (TimeoutError(), True),
        (InternalError("went wrong"), True),
        (Conflict("changed"), False),
        (Forbidden("quota"), False),
    ],
)
def test_doubts_after_an_error_that_tells_nothing(error: Exception, doubts: bool) -> None:
    for sight, status in ((Sight("uid"), COUNTED), (Sight("uid", born=6), batch.JobStatus())):
        sight.wrote(status)
        sight.doubt(error)
        assert sight.trusts(status, 10, begun=5) != doubts


def test_remembers_what_it_did_until_the_pods_show_it() -> None:
    sight = Sight("uid")
    sight.did({"uid-a", "uid-b"}, {"uid-c", "uid-d"})
    sight.look([pod("a"), pod("b", tracked=False), pod("c", tracked=False), pod("d", tracked=False, deleting=True)])
    assert sight.memory == (frozenset({"uid-a"}), frozenset({"uid-c"}))


def test_settled_pods_are_in_no_index() -> None:
    assert list(unsettled(pod(phase="Succeeded"))) == ["uid-sum"]
    assert list(unsettled(pod(phase="Running", tracked=False))) == ["uid-sum"]
    assert list(unsettled(pod(phase="Failed", tracked=False))) == []
    stray = pod(phase="Failed", tracked=False)
    stray.metadata.labels = {}
    assert list(unsettled(stray)) == ["uid-sum"], "it is to be released"
    stray.metadata.ownerReferences = []
    assert list(unsettled(stray)) == []
    assert list(unfinished(job())) == ["default"]
    assert list(unfinished(job(status=batch.JobStatus(conditions=[condition("Failed")])))) == []


OWNER = OwnerReference(apiVersion="batch/v1", kind="Job", name="sum", uid="uid-sum", controller=True)


@pytest.mark.parametrize(
    ("owner", "found", "left"),
    [
        (None, None, True),
        (OWNER, None, True),
        (OWNER, job(), False),
        (OWNER, job(status=batch.JobStatus(conditions=[condition("Complete", since=NOW)])), True),
        (OWNER, job(managedBy="example.com/queue"), False),
        (OwnerReference(apiVersion="batch/v1", kind="Job", name="sum", uid="another", controller=True), job(), True),
        (OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name="sum", uid="uid-sum", controller=True), None, False),
        (OwnerReference(apiVersion="example.com/v1", kind="Job", name="sum", uid="uid-sum", controller=True), None, False),
    ],
)
def test_pods_that_nobody_counts(owner: OwnerReference | None, found: batch.Job | None, left: bool) -> None:
    assert is_left(owner, found) == left
