"""Times at which a schedule is due ("CronJob": "Schedule syntax", "Time zones"). Pure.

A schedule is due at every moment at which the clocks of its zone show what it asks for. So a time that clocks skip in spring is not due
on that day, and one that they show twice in autumn is due twice.

A search looks at the months, not at the minutes, and ends after `YEARS`: a leap day that is asked for comes within eight.
Moments are whole seconds since the epoch.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, tzinfo
from functools import lru_cache

from tiphys.api.batch.schedule import Every, Fields
from tiphys.controllers.cronjob.zones import DAY, MAX_YEAR, backward, forward

YEARS = 9
_HOUR = 60
_DAY = 24 * _HOUR
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Times:
    """Times at which a rule is due in a time zone, all of them after `anchor`."""

    rule: Fields | Every
    zone: tzinfo
    anchor: int

    def after(self, moment: int) -> int | None:
        """Return the first time after a moment, None when there is none."""
        moment = max(moment, self.anchor)
        if isinstance(self.rule, Every):
            return moment + self.rule.seconds - (moment - self.anchor) % self.rule.seconds
        for span in forward(self.zone, moment + 1, YEARS):
            minute = first_minute(self.rule, -(-(max(moment + 1, span.start) + span.offset) // 60))
            if minute is None:
                return None
            if minute * 60 - span.offset < span.end:
                return minute * 60 - span.offset
        return None

    def latest(self, until: int) -> int | None:
        """Return the last time that is not after `until`, None when there is none since the anchor."""
        if until <= self.anchor:
            return None
        if isinstance(self.rule, Every):
            moment = until - (until - self.anchor) % self.rule.seconds
            return moment if moment > self.anchor else None
        earliest = max(self.anchor + 1, until - YEARS * 366 * DAY)
        for span in backward(self.zone, until, earliest):
            first = max(span.start, earliest)
            minute = last_minute(self.rule, (min(until, span.end - 1) + span.offset) // 60, (first + span.offset) // 60)
            if minute is not None and minute * 60 - span.offset >= first:
                return minute * 60 - span.offset
        return None

    def count(self, since: int, until: int, limit: int) -> int:
        """Return how many times there are after `since` up to `until`, at most `limit`."""
        count = 0
        moment = self.after(since)
        while moment is not None and moment <= until and count < limit:
            count += 1
            moment = self.after(moment)
        return count


def first_minute(fields: Fields, minute: int) -> int | None:
    """Return the first minute that matches, from one on: minutes since the epoch by clocks that never change."""
    day, rest = divmod(minute, _DAY)
    date_ = date.fromordinal(_EPOCH + day)
    year, month, number = date_.year, date_.month, date_.day
    for _ in range(YEARS * 12):
        days = days_of(fields, year, month) >> number << number
        while days:
            number = _lowest(days)
            moment = _first_of_day(fields, rest if (year, month, number) == (date_.year, date_.month, date_.day) else 0)
            if moment is not None:
                return _minutes(year, month, number) + moment
            days &= days - 1
        year, month, number = (year, month + 1, 0) if month < 12 else (year + 1, 1, 0)
        if year >= MAX_YEAR:
            return None
    return None


def last_minute(fields: Fields, minute: int, earliest: int) -> int | None:
    """Return the last minute that matches, up to one, and not before `earliest`."""
    day, rest = divmod(minute, _DAY)
    date_ = date.fromordinal(_EPOCH + day)
    year, month, number = date_.year, date_.month, date_.day
    while _minutes(year, month, 31) + _DAY > earliest:
        days = days_of(fields, year, month) & ((1 << number + 1) - 1)
        while days:
            number = days.bit_length() - 1
            moment = _last_of_day(fields, rest if (year, month, number) == (date_.year, date_.month, date_.day) else _DAY - 1)
            if moment is not None:
                moment += _minutes(year, month, number)
                return moment if moment >= earliest else None
            days ^= 1 << number
        year, month, number = (year, month - 1, 31) if month > 1 else (year - 1, 12, 31)
    return None


@lru_cache(4096)
def days_of(fields: Fields, year: int, month: int) -> int:
    """Return the days of a month that match, as bits."""
    if not fields.months >> month & 1:
        return 0
    first, length = monthrange(year, month)
    dates = fields.days & ((1 << length + 1) - 2)
    # In `calendar` the week begins with Monday, in schedules with Sunday.
    weekdays = sum(1 << day for day in range(1, length + 1) if fields.weekdays >> (first + day) % 7 & 1)
    return dates | weekdays if fields.either_day else dates & weekdays


def _minutes(year: int, month: int, day: int) -> int:
    """Return the minute with which a day begins; days beyond the month's end are those of the next."""
    return (date(year, month, 1).toordinal() + day - 1 - _EPOCH) * _DAY


def _first_of_day(fields: Fields, minute: int) -> int | None:
    hour, rest = divmod(minute, _HOUR)
    minutes = fields.minutes >> rest << rest
    if fields.hours >> hour & 1 and minutes:
        return hour * _HOUR + _lowest(minutes)
    hours = fields.hours >> hour + 1 << hour + 1
    return _lowest(hours) * _HOUR + _lowest(fields.minutes) if hours and fields.minutes else None


def _last_of_day(fields: Fields, minute: int) -> int | None:
    hour, rest = divmod(minute, _HOUR)
    minutes = fields.minutes & ((1 << rest + 1) - 1)
    if fields.hours >> hour & 1 and minutes:
        return hour * _HOUR + minutes.bit_length() - 1
    hours = fields.hours & ((1 << hour) - 1)
    return (hours.bit_length() - 1) * _HOUR + fields.minutes.bit_length() - 1 if hours and fields.minutes else None


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
