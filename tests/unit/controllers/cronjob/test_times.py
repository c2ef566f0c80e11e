"""Times of schedules: answers of robfig/cron, which upstream uses, and a look at every minute as the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiphys.api.batch.schedule import Every, Fields, parse_schedule
from tiphys.controllers.cronjob.times import Times
from tiphys.controllers.cronjob.zones import spans


def moment(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def times(schedule: str, zone: str = "UTC", anchor: int = 0) -> Times:
    return Times(parse_schedule(schedule).rule, ZoneInfo(zone), anchor)


def following(schedule: str, zone: str, since: str, count: int) -> list[str]:
    """The next times, as the clocks of the zone show them."""
    at: int | None = moment(since, zone)
    due, shown = times(schedule, zone), []
    for _ in range(count):
        assert at is not None
        at = due.after(at)
        shown.append("never" if at is None else datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%m-%d %H:%M%z"))
        if at is None:
            break
    return shown


@pytest.mark.parametrize(
    ("schedule", "zone", "since", "answer"),
    [
        # Clocks go from 2:00 to 3:00: what is due between runs on the next day.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["03-28 02:30+0100", "03-30 02:30+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-07", ["03-07 02:30-0500", "03-09 02:30-0400"]),
        ("30 2 * * *", "Australia/Sydney", "2026-10-03", ["10-03 02:30+1000", "10-05 02:30+1100"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T03:00", ["03-30 02:00+0200", "03-30 02:30+0200"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:00", ["03-29 01:30+0100", "03-29 03:00+0200"]),
        # Clocks go back: what is due in the hour that repeats runs twice.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["10-25 02:30+0200", "10-25 02:30+0100", "10-26 02:30+0100"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["11-01 01:30-0400", "11-01 01:30-0500", "11-02 01:30-0500"]),
        ("30 2 * * *", "Australia/Sydney", "2026-04-05", ["04-05 02:30+1100", "04-05 02:30+1000", "04-06 02:30+1000"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25", ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 04:00+0100"]),
        # A day without midnight.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["04-25 00:00+0300"]),
        ("0 0 * * *", "Asia/Kolkata", "2026-01-01T12:00", ["01-02 00:00+0530"]),
    ],
)
def test_clocks_that_change(schedule: str, zone: str, since: str, answer: list[str]) -> None:
    assert following(schedule, zone, since, len(answer)) == answer


@pytest.mark.parametrize(
    ("schedule", "answer"),
    [
        ("*/7 * * * *", ["01-01 00:07", "01-01 00:14", "01-01 00:21", "01-01 00:28", "01-01 00:35"]),
        ("56/2,*/57 * * * *", ["01-01 00:56", "01-01 00:57", "01-01 00:58", "01-01 01:00"]),
        ("5/15 * * * *", ["01-01 00:05", "01-01 00:20", "01-01 00:35", "01-01 00:50", "01-01 01:05"]),
        ("0 8-18/4 * * mon-FRI", ["01-01 08:00", "01-01 12:00", "01-01 16:00", "01-02 08:00"]),
        ("0 0 13 * 5", ["01-02 00:00", "01-09 00:00", "01-13 00:00", "01-16 00:00"]),  # either of two
        ("0 0 */10 * 5", ["01-02 00:00", "01-09 00:00", "01-11 00:00"]),  # a star with a step restricts
        ("0 0 ? * 5", ["01-02 00:00", "01-09 00:00"]),
        ("0 0 1 feb,Mar ?", ["02-01 00:00", "03-01 00:00", "02-01 00:00"]),
        ("0 0 31 * *", ["01-31 00:00", "03-31 00:00", "05-31 00:00"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00"]),
        ("0 0 30 2 *", ["never"]),
        ("0 0 30 2 1", ["02-02 00:00", "02-09 00:00"]),
        (", * * * *", ["never"]),
        ("@hourly", ["01-01 01:00", "01-01 02:00"]),
        ("@daily", ["01-02 00:00", "01-03 00:00"]),
        ("@midnight", ["01-02 00:00"]),
        ("@weekly", ["01-04 00:00", "01-11 00:00"]),
        ("@monthly", ["02-01 00:00", "03-01 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00"]),
        ("@annually", ["01-01 00:00"]),
    ],
)  # fmt: skip
def test_notation(schedule: str, answer: list[str]) -> None:
    assert [shown.removesuffix("+0000") for shown in following(schedule, "UTC", "2026-01-01", len(answer))] == answer


def test_days_that_upstream_loses_are_kept() -> None:
    """Upstream's search takes steps of whole hours and days, and loses a day without midnight and hours after half an hour's change."""
    assert following("33 18 * * 0", "Asia/Beirut", "2026-03-25", 1) == ["03-29 18:33+0300"]
    assert following("0 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 1) == ["10-04 03:00+1100"]


def test_a_constant_distance_counts_from_the_anchor() -> None:
    due = times("@every 1h30m", anchor=1000)
    assert [due.after(0), due.after(1000), due.after(6400), due.after(6399)] == [6400, 6400, 11800, 6400]
    assert [due.latest(1000), due.latest(6399), due.latest(6400), due.latest(20000)] == [None, None, 6400, 17200]
    assert due.count(1000, 1000 + 5400 * 7, 100) == 7


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("1.5h", 5400), ("-1h", 1), ("10ms", 1), ("2.9s", 2), ("0", 1), (".5m", 30), ("1h5.s", 3605)]
)
def test_lengths(text: str, seconds: int) -> None:
    assert parse_schedule(f"@every {text}").rule == Every(seconds)


def test_a_century_of_missed_times_is_no_more_work_than_a_day() -> None:
    due = times("* * * * *", anchor=moment("1970-01-02"))
    assert due.latest(moment("2090-01-01T00:00:59")) == moment("2090-01-01")
    assert due.count(due.anchor, moment("2090-01-01"), 101) == 101
    assert times("0 0 30 2 *", anchor=moment("1971-01-01")).latest(moment("2090-01-01")) is None


def test_spans_of_a_year_with_two_changes() -> None:
    found = spans(ZoneInfo("Europe/Berlin"), 2026)
    assert [(datetime.fromtimestamp(span.start, UTC).isoformat(), span.offset) for span in found] == [
        ("2026-01-01T00:00:00+00:00", 3600),
        ("2026-03-29T01:00:00+00:00", 7200),
        ("2026-10-25T01:00:00+00:00", 3600),
    ]
    assert [before.end == after.start for before, after in pairwise(found)] == [True, True]


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Chatham",
    "Asia/Beirut",
)
CHANGES = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-04", "2026-10-25", "2026-10-30", "2026-11-01")


def bits(low: int, high: int) -> st.SearchStrategy[int]:
    some = st.sets(st.integers(low, high), min_size=1, max_size=4).map(lambda numbers: sum(1 << number for number in numbers))
    return some | st.just(sum(1 << number for number in range(low, high + 1)))


RULES = st.builds(Fields, bits(0, 59), bits(0, 23), bits(1, 31), bits(1, 12), bits(0, 6), st.booleans())


def is_due(rule: Fields, clock: datetime) -> bool:
    """Return whether clocks that show this time make the rule due: the notation's definition."""
    day, weekday = rule.days >> clock.day & 1, rule.weekdays >> clock.isoweekday() % 7 & 1
    match = day or weekday if rule.either_day else day and weekday
    return bool(match and rule.months >> clock.month & 1 and rule.hours >> clock.hour & 1 and rule.minutes >> clock.minute & 1)


@given(RULES, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 4 * 86400))
@example(Fields(1 << 30, 1 << 2, (1 << 32) - 2, (1 << 13) - 2, 127, False), "Europe/Berlin", "2026-10-25", 90000)
def test_searches_find_what_a_look_at_every_minute_finds(rule: Fields, zone: str, change: str, ahead: int) -> None:
    start = moment(change) - 2 * 86400 + ahead
    clocks = ZoneInfo(zone)
    span = range(-(-(start + 1) // 60) * 60, start + 2 * 86400, 60)
    expected = [at for at in span if is_due(rule, datetime.fromtimestamp(at, UTC).astimezone(clocks))]
    due = Times(rule, clocks, start)
    found, at = [], due.after(start)
    while at is not None and at < span.stop:
        found.append(at)
        at = due.after(at)
    assert found == expected
    assert due.latest(span.stop - 1) == (expected[-1] if expected else None)
    for first, second in pairwise(expected):
        assert due.latest(second - 1) == first


@given(RULES, st.sampled_from(ZONES), st.integers(0, 2**32), st.integers(0, 400 * 86400))
def test_the_latest_time_is_the_last_of_those_that_follow(rule: Fields, zone: str, anchor: int, length: int) -> None:
    due = Times(rule, ZoneInfo(zone), anchor)
    until = anchor + length
    latest = due.latest(until)
    if latest is None:
        first = due.after(anchor)
        assert first is None or first > until
    else:
        assert anchor < latest <= until
        assert due.after(latest - 1) == latest
        following = due.after(latest)
        assert following is None or following > until


def test_times_far_away_end_the_search() -> None:
    far = int(datetime(9980, 1, 1, tzinfo=UTC).timestamp())
    assert times("0 0 30 2 *").after(far) is None
    assert times("0 0 1 1 *").after(far) is not None
    assert times("0 0 1 1 *").after(far + int(timedelta(days=365 * 12).total_seconds())) is None
