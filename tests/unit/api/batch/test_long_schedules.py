"""Schedules that are longer than any that means something: the controller parses them beside all others."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.api.batch import schedule as cron


def test_parts_of_a_schedule_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []
    parse = cron._range

    def counted(text: str, field: Any) -> Any:
        parts.append(text)
        return parse(text, field)

    monkeypatch.setattr(cron, "_range", counted)
    assert cron.schedule_message("*" + ",*" * 5000 + " 1,2,1 * * *") == ""
    assert parts == ["*", "1", "2", "*", "*", "*"]


def test_schedules_have_a_longest() -> None:
    assert cron.schedule_message("*" + ",1" * cron.MAX_LENGTH + " * * * *") == "too long: may not be more than 16384 characters"
