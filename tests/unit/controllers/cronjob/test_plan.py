"""The next step of a CronJob."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.controllers.cronjob.make import NOON, at, cron_job, job
from tiphys.api.batch import v1 as batch
from tiphys.controllers.cronjob.plan import Plan, plan
from tiphys.controllers.cronjob.runs import SCHEDULED_AT, job_of, time_of, unseen, with_run, without


def started(step: Plan) -> datetime | None:
    return None if step.start is None else datetime.fromtimestamp(step.start, UTC)


def reasons(step: Plan) -> list[str]:
    return [remark.reason for remark in (*step.news, *step.standing)]


def names(jobs: object) -> list[str]:
    return [found.metadata.name for found in jobs]  # type: ignore[attr-defined]


# --- times ---


def test_waits_for_the_first_time() -> None:
    step = plan(cron_job(), (), at(0.5))
    assert (started(step), step.next) == (None, int(at(1).timestamp()))
    assert reasons(step) == []


def test_starts_a_time_at_once() -> None:
    step = plan(cron_job(), (), at(1))
    assert (started(step), step.next) == (at(1), int(at(2).timestamp()))


@pytest.mark.parametrize(("minutes", "warned"), [(2, False), (100, False), (101, True), (60 * 24 * 365 * 30, True)])
def test_starts_only_the_latest_of_those_missed(minutes: int, warned: bool) -> None:
    step = plan(cron_job(), (), at(minutes + 0.5))
    assert started(step) == at(minutes)
    assert reasons(step) == ["TooManyMissedTimes"] * warned


def test_times_before_the_deadline_do_not_count_as_missed() -> None:
    step = plan(cron_job(startingDeadlineSeconds=600), (), at(1000.5))
    assert (started(step), reasons(step)) == (at(1000), [])


@pytest.mark.parametrize(
    ("deadline", "late", "starts"), [(None, 3000, True), (60, 59, True), (60, 60, False), (5, 4, True), (5, 6, False), (0, 0, False)]
)
def test_a_time_starts_within_its_deadline(deadline: int | None, late: int, starts: bool) -> None:
    step = plan(cron_job("0 13 * * *", startingDeadlineSeconds=deadline), (), at(60) + timedelta(seconds=late))
    assert started(step) == (at(60) if starts else None)
    assert step.next == int(at(60 + 24 * 60).timestamp())
    assert [remark.message for remark in step.standing] == (
        [] if starts else ["Missed scheduled time to start a job: Thu, 01 Jan 2026 13:00:00 +0000"]
    )


def test_a_time_of_an_old_schedule_is_not_owed() -> None:
    assert started(plan(cron_job(), (), at(5.5), floor=at(5.2).timestamp())) is None
    assert started(plan(cron_job(), (), at(6), floor=at(5.2).timestamp())) == at(6)


def test_a_clock_that_was_set_back_starts_nothing_again() -> None:
    step = plan(cron_job(last=at(10)), (), at(3))
    assert (started(step), step.next) == (None, int(at(11).timestamp()))


def test_schedules_name_their_zone() -> None:
    assert started(plan(cron_job("0 8 * * *", timeZone="America/New_York"), (), at(61))) == at(60)
    assert started(plan(cron_job("0 14 * * *"), (), at(61), zone=ZoneInfo("Europe/Berlin"))) == at(60)
    step = plan(cron_job("TZ=Asia/Tokyo 0 22 * * *"), (), at(61))
    assert (started(step), reasons(step)) == (at(60), ["UnsupportedSchedule"])


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        (cron_job("61 * * * *"), "UnparseableSchedule", 'unparseable schedule: "61 * * * *" : end of range (61) above maximum (59): 61'),
        (cron_job("TZ=0"), "UnparseableSchedule", 'unparseable schedule: "TZ=0" : '),
        (cron_job("0 0 30 2 *"), "InvalidSchedule", "invalid schedule: 0 0 30 2 * : no date"),
        (cron_job(timeZone="Nowhere/Land"), "UnknownTimeZone", 'invalid timeZone: "Nowhere/Land": unknown time zone Nowhere/Land'),
        (cron_job(timeZone="../etc/passwd"), "UnknownTimeZone", 'invalid timeZone: "../etc/passwd": unknown time zone'),
    ],
)
def test_reports_schedules_that_never_come(bad: batch.CronJob, reason: str, message: str) -> None:
    step = plan(bad, (), at(60 * 24 * 400))
    assert (started(step), step.next) == (None, None)
    assert [(remark.type, remark.reason) for remark in step.standing] == [("Warning", reason)]
    assert step.standing[0].message.startswith(message)


def test_suspension_starts_nothing_and_resumption_the_latest() -> None:
    step = plan(cron_job(suspend=True), (), at(5))
    assert (started(step), step.next, reasons(step)) == (None, None, [])
    assert started(plan(cron_job(suspend=False), (), at(5.5))) == at(5)


def test_nothing_starts_while_it_is_deleted() -> None:
    step = plan(cron_job(deleting=True, active=(job(1),)), [job(1, done="Complete")], at(5))
    assert (started(step), step.delete, step.next) == (None, (), None)
    assert (step.status.active, reasons(step)) == ([], ["SawCompletedJob"])


# --- concurrency ---


def test_allow_starts_beside_others() -> None:
    step = plan(cron_job(last=at(1), active=(job(1),)), [job(1)], at(2))
    assert (started(step), list(step.replace)) == (at(2), [])


def test_forbid_waits_until_the_other_is_done() -> None:
    forbidding = cron_job(concurrencyPolicy="Forbid", last=at(1), active=(job(1),))
    step = plan(forbidding, [job(1)], at(2))
    assert (started(step), step.next, reasons(step)) == (None, int(at(3).timestamp()), ["JobAlreadyActive"])
    assert step.standing != plan(forbidding, [job(1)], at(3)).standing, "each time is told once"
    assert started(plan(forbidding, [job(1, done="Failed")], at(3.5))) == at(3)


def test_replace_names_those_that_make_way() -> None:
    step = plan(cron_job(concurrencyPolicy="Replace", last=at(1), active=(job(1),)), [job(1), job(9, manual=True)], at(2))
    assert (started(step), [ref.uid for ref in step.replace]) == (at(2), [job(1).metadata.uid])


# --- status ---


def test_reports_active_jobs_that_end_or_vanish() -> None:
    step = plan(cron_job(last=at(3), active=(job(1), job(2), job(3))), [job(1, done="Complete"), job(3)], at(3.5))
    assert [ref.name for ref in step.status.active] == [job(3).metadata.name]
    assert [(remark.reason, remark.message) for remark in step.news] == [
        ("SawCompletedJob", f"Saw completed job: {job(1).metadata.name}, condition: Complete"),
        ("MissingJob", f"Active job went missing: {job(2).metadata.name}"),
    ]
    assert step.status.lastSuccessfulTime == at(1.5)


def test_enters_runs_that_a_crash_left_out() -> None:
    step = plan(cron_job(concurrencyPolicy="Forbid", last=at(1)), [job(2)], at(2.5))
    assert [(ref.kind, ref.name, ref.uid, ref.apiVersion) for ref in step.status.active] == [
        ("Job", job(2).metadata.name, job(2).metadata.uid, "batch/v1")
    ]
    assert (step.status.lastScheduleTime, started(step), reasons(step)) == (at(2), None, [])


def test_jobs_made_by_hand_are_reported_and_counted_as_successes_only() -> None:
    step = plan(cron_job(concurrencyPolicy="Forbid"), [job(1, manual=True)], at(1))
    assert (reasons(step), step.status.active, started(step)) == (["UnexpectedJob"], [], at(1))
    step = plan(cron_job(), [job(1, manual=True, done="Complete")], at(1))
    assert (reasons(step), step.status.lastSuccessfulTime, step.status.lastScheduleTime) == ([], at(1.5), None)


def test_runs_that_are_being_deleted_do_not_come_back() -> None:
    assert plan(cron_job(last=at(1)), [job(1, deleting=True)], at(1.5)).status.active == []
    kept = plan(cron_job(last=at(1), active=(job(1),)), [job(1, deleting=True)], at(1.5))
    assert names_of(kept.status) == [job(1).metadata.name]


def names_of(status: batch.CronJobStatus) -> list[str]:
    return [ref.name for ref in status.active]


def test_active_jobs_that_the_cache_lacks_are_asked_for() -> None:
    assert unseen(cron_job(active=(job(1), job(2))), [job(2)]) == [job(1).metadata.name]


def test_a_made_up_run_of_a_time_to_come_holds_nothing_up() -> None:
    step = plan(cron_job(), [job(500)], at(1))
    assert (step.status.lastScheduleTime, step.status.active, started(step), reasons(step)) == (None, [], at(1), ["UnexpectedJob"])


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("last", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
def test_any_time_may_be_in_the_status(last: datetime, zone: str) -> None:
    step = plan(cron_job("0 0 * * *", last=last, timeZone=zone, startingDeadlineSeconds=2**62), (), at(1))
    assert (started(step) is None) == (last.year == 9999)


# --- history ---


@pytest.mark.parametrize(
    ("successes", "failures", "gone"), [(3, 1, [5]), (1, 1, [1, 2, 5]), (0, 0, [1, 2, 3, 5, 6]), (None, None, []), (None, 0, [5, 6])]
)
def test_finished_jobs_beyond_the_limits_go(successes: int | None, failures: int | None, gone: list[int]) -> None:
    jobs = [job(n, done="Complete") for n in (3, 2, 1)] + [job(n, done="Failed") for n in (6, 5)] + [job(7)]
    limited = cron_job(last=at(7), active=(job(7),), successfulJobsHistoryLimit=successes, failedJobsHistoryLimit=failures)
    assert names(plan(limited, jobs, at(7.5)).delete) == names(job(n) for n in gone)


def test_jobs_on_their_way_out_are_not_deleted_again() -> None:
    jobs = [job(n, done="Complete", deleting=n == 1) for n in (1, 2, 3)]
    assert names(plan(cron_job(last=at(3), successfulJobsHistoryLimit=1), jobs, at(3.5)).delete) == names([job(2)])


# --- the job of a time ---


def test_the_job_carries_the_template_and_its_time() -> None:
    made = job_of(cron_job(timeZone="Europe/Berlin"), int(at(5).timestamp()))
    assert made.metadata.name == f"tick-{int(at(5).timestamp()) // 60}"
    assert made.metadata.labels == {"app": "tick"}
    assert made.metadata.annotations == {"note": "kept", SCHEDULED_AT: "2026-01-01T13:05:00+01:00"}
    (owner,) = made.metadata.ownerReferences
    assert (owner.kind, owner.apiVersion, owner.uid, owner.controller, owner.blockOwnerDeletion) == (
        "CronJob", "batch/v1", "u-tick", True, True,
    )  # fmt: skip
    assert time_of(cron_job(), made) == int(at(5).timestamp())
    assert job_of(cron_job(), int(NOON.timestamp())).metadata.annotations[SCHEDULED_AT] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize("other", [job(1, owner="u-other"), job(1, name="tick-1"), job(1, manual=True), job(1, name="tock-29454481")])
def test_other_jobs_are_not_runs(other: batch.Job) -> None:
    assert time_of(cron_job(), other) is None


def test_a_name_that_is_taken_starts_nothing() -> None:
    step = plan(cron_job(), (), at(1), is_taken=lambda name: name == job(1).metadata.name)
    assert (started(step), reasons(step), step.next) == (None, ["FailedCreate"], int(at(2).timestamp()))


def test_times_within_a_minute_share_one_run() -> None:
    ticking = cron_job("@every 20s", last=at(1), active=(job(1),))
    assert started(plan(ticking, [job(1)], at(1) + timedelta(seconds=20))) is None
    assert started(plan(ticking, [job(1)], at(2))) == at(2)


def test_times_within_a_minute_share_one_run_whose_job_is_gone() -> None:
    ticking = cron_job("@every 20s", last=at(1))
    assert started(plan(ticking, [], at(1) + timedelta(seconds=40))) is None
    assert started(plan(ticking, [], at(2))) == at(2)


# --- properties ---

SCHEDULES = st.sampled_from(["* * * * *", "*/7 * * * *", "@every 90s", "@every 25s", "0 * * * *", "30 2 * * *", "0 0 30 2 *", "junk"])
STATES = st.sampled_from(["", "Complete", "Failed", "gone"])
POLICIES = st.sampled_from(["Allow", "Forbid", "Replace"])


@given(
    SCHEDULES,
    POLICIES,
    st.lists(st.tuples(st.integers(0, 30), STATES, st.booleans(), st.booleans()), max_size=6, unique_by=lambda one: one[0]),
    st.integers(0, 3),
    st.none() | st.integers(0, 300),
    st.integers(0, 400),
)
@example("@every 25s", "Allow", [(14, "Complete", False, False)], 0, None, 145)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    schedule: str, policy: str, runs: list[tuple[int, str, bool, bool]], limit: int, deadline: int | None, later: int
) -> None:
    jobs = [job(n, done="" if state == "gone" else state, manual=False, deleting=state == "gone") for n, state, _, _ in runs]
    active = tuple(found for found, (_, _, listed, _) in zip(jobs, runs, strict=True) if listed)
    present = [found for found, (_, _, listed, there) in zip(jobs, runs, strict=True) if there or not listed]
    before = cron_job(
        schedule,
        concurrencyPolicy=policy,
        active=active,
        successfulJobsHistoryLimit=limit,
        failedJobsHistoryLimit=limit,
        startingDeadlineSeconds=deadline,
    )
    now = at(later / 10)
    step = plan(before, present, now)
    after, left = carry_out(before, present, step)
    again = plan(after, left, now)
    assert (again.start, list(again.delete), list(again.news)) == (None, [], [])
    assert again.status == after.status
    assert again.next == step.next
    if step.start is not None:
        assert after.status.lastScheduleTime is not None
        assert now.timestamp() >= step.start > (before.status.lastScheduleTime or NOON).timestamp()
    if policy != "Allow" and step.start is not None:
        assert len(after.status.active) == 1


def carry_out(before: batch.CronJob, jobs: list[batch.Job], step: Plan) -> tuple[batch.CronJob, list[batch.Job]]:
    """Return the objects that a step leaves."""
    status = step.status
    replaced = {ref.uid for ref in step.replace}
    gone = replaced | {found.metadata.uid for found in step.delete}
    left = [found for found in jobs if found.metadata.uid not in gone]
    if step.start is not None:
        made = job_of(before, step.start)
        made.metadata.uid = f"u-{made.metadata.name}-{step.start}"
        left.append(made)
        status = with_run(without(status, replaced), made, step.start)
    return msgspec.structs.replace(before, status=status), left
