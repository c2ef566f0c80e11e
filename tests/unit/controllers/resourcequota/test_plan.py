"""The status of a quota: what was found, and what may be on its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tiphys.api.core.v1 import Pod, ResourceQuota
from tiphys.api.quota.evaluators import evaluator_for
from tiphys.controllers.resourcequota.plan import counted, next_release, status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def quota(used: dict[str, str], **hard: str) -> ResourceQuota:
    return msgspec.convert({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}}, ResourceQuota)


@pytest.mark.parametrize(
    ("before", "found", "recent", "after"),
    [
        ("5", "5", "0", "5"),
        ("5", "3", "0", "3"),  # Two have gone.
        ("5", "3", "1", "4"),  # One of what was charged last may be on its way,
        ("5", "5", "2", "5"),  # or has arrived;
        ("5", "1", "9", "5"),  # what is on its way was charged before.
        ("2", "5", "1", "5"),  # What is there is there.
    ],
)
def test_usage_shrinks_no_faster_than_is_sure(before: str, found: str, recent: str, after: str) -> None:
    wanted = status(quota({"pods": before}, pods="9"), {"pods": found}, {"pods": recent})  # type: ignore[dict-item]
    assert wanted.used == {"pods": after}


def test_keeps_usage_of_unknown_resources() -> None:
    wanted = status(quota({"count/widgets.example.com": "2", "gone": "1"}, **{"count/widgets.example.com": "5", "new": "1"}), {}, {})
    assert wanted.used == {"count/widgets.example.com": "2"}
    assert wanted.hard == {"count/widgets.example.com": "5", "new": "1"}


def pod(**status: str) -> Pod:
    return msgspec.convert({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}, "status": status}, Pod)


def test_counting() -> None:
    wanted = quota({}, pods="5", cpu="5", secrets="5")
    assert counted(wanted, evaluator_for("pods"), [pod(), pod(), pod(phase="Failed")], NOW) == {"pods": "2", "cpu": "2"}
    assert counted(wanted, evaluator_for("secrets"), [None] * 3, NOW) == {"secrets": "3"}
    wanted.spec.scopes = ["BestEffort"]
    assert counted(wanted, evaluator_for("pods"), [pod()], NOW) == {"pods": "0", "cpu": "0"}


def test_stops_charging_stuck_pods() -> None:
    late, early = pod(), pod()
    for found, seconds in ((late, 60), (early, 20)):
        found.metadata.deletionTimestamp, found.metadata.deletionGracePeriodSeconds = NOW + timedelta(seconds=seconds), 0
    assert next_release([pod(), late, early], NOW) == 21.0
    assert next_release([pod()], NOW) is None
