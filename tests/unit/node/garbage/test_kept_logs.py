"""Logs of deleted pods on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tiphys.node.container.logs import LogOptions, rotate
from tiphys.node.garbage import kept_logs
from tiphys.node.garbage.disk import Progress
from tiphys.node.settings import NodeSettings

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(text: str) -> str:
    return f"2026-01-01T00:00:00.000000000Z stdout F {text}\n"


def settings(tmp_path: Path, **options: Any) -> NodeSettings:
    return NodeSettings(name="n", root=tmp_path, **options)


def pod(tmp_path: Path, *texts: str, name: str = "web", uid: str = "u1", container: str = "main") -> Path:
    """Logs of a pod: one container, started once for each text."""
    directory = tmp_path / "logs" / f"default_{name}_{uid}"
    (directory / container).mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (directory / container / f"{number}.log").write_text(text)
    return directory


def read(tmp_path: Path, place: int = 0, **options: Any) -> bytes:
    return b"".join(kept_logs.read(kept_logs.kept_logs(tmp_path / "logs")[place], LogOptions(**options)))


def test_logs_stay_readable(tmp_path: Path) -> None:
    directory = pod(tmp_path, line("first"), line("second") + line("third"))
    kept_logs.put_away(settings(tmp_path), directory, START)
    assert not directory.exists()
    listed = kept_logs.kept_logs(tmp_path / "logs")
    assert [(one.namespace, one.pod, one.uid, one.container, one.restart, one.deleted) for one in listed] == [
        ("default", "web", "u1", "main", 0, START),
        ("default", "web", "u1", "main", 1, START),
    ]
    assert read(tmp_path, 1) == b"second\nthird\n"
    kept_logs.tidy(settings(tmp_path), START)
    assert read(tmp_path, 1) == b"second\nthird\n"
    assert read(tmp_path, 1, tail=1) == b"third\n"
    assert [path.suffix for path in sorted((tmp_path / "logs").rglob("*.log*"))] == [".gz", ".gz"]


def test_rotated_files_are_read_first(tmp_path: Path) -> None:
    directory = pod(tmp_path)
    path = directory / "main" / "0.log"
    for number in range(3):
        path.write_text(line(f"line {number}"))
        rotate(path, 5, START + timedelta(seconds=number))
    path.write_text(line("last"))
    kept_logs.put_away(settings(tmp_path), directory, START)
    for _ in range(2):
        assert read(tmp_path) == b"line 0\nline 1\nline 2\nlast\n"
        assert read(tmp_path, tail=2) == b"line 2\nlast\n"
        kept_logs.tidy(settings(tmp_path), START)


@pytest.mark.parametrize("options", [{"kept_log_max_size": "0"}, {"kept_log_max_age": 0.0}])
def test_nothing_is_kept_without_a_budget(tmp_path: Path, options: dict[str, Any]) -> None:
    directory = pod(tmp_path, line("x"))
    kept_logs.put_away(settings(tmp_path, **options), directory, START)
    assert not directory.exists()
    assert kept_logs.kept_logs(tmp_path / "logs") == []


def test_pods_that_wrote_nothing_leave_nothing(tmp_path: Path) -> None:
    directory = pod(tmp_path, "")
    kept_logs.put_away(settings(tmp_path), directory, START)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == []
    kept_logs.put_away(settings(tmp_path), directory, START)


def test_age_and_size_are_limited(tmp_path: Path) -> None:
    for number in range(3):
        directory = pod(tmp_path, line("x" * 10_000), name=f"web-{number}")
        kept_logs.put_away(settings(tmp_path), directory, START + timedelta(hours=number))
    kept_logs.tidy(settings(tmp_path), START + timedelta(hours=24.5))
    assert [one.pod for one in kept_logs.kept_logs(tmp_path / "logs")] == ["web-2", "web-1"]
    kept_logs.tidy(settings(tmp_path, kept_log_max_size="150"), START + timedelta(hours=3))
    assert [one.pod for one in kept_logs.kept_logs(tmp_path / "logs")] == ["web-2"]


def test_a_pod_of_the_same_uid_is_kept_beside_the_one_before(tmp_path: Path) -> None:
    for number in range(2):
        kept_logs.put_away(settings(tmp_path), pod(tmp_path, line(f"life {number}")), START + timedelta(seconds=number))
    assert [read(tmp_path, place) for place in range(2)] == [b"life 1\n", b"life 0\n"]


def test_the_oldest_go_first_when_the_disk_is_full(tmp_path: Path) -> None:
    for number in range(3):
        kept_logs.put_away(settings(tmp_path), pod(tmp_path, line("x" * 1000), name=f"web-{number}"), START + timedelta(hours=number))
    assert kept_logs.reclaim(tmp_path / "logs", Progress(tmp_path, 0)) == 0
    assert kept_logs.reclaim(tmp_path / "logs", Progress(tmp_path, 1 << 60)) == 3
    assert kept_logs.kept_logs(tmp_path / "logs") == []


def test_compressed_logs_of_pods_go_when_the_disk_is_full(tmp_path: Path) -> None:
    path = pod(tmp_path) / "main" / "0.log"
    for number in range(3):
        path.write_text(line(f"line {number}"))
        rotate(path, 5, START + timedelta(seconds=number))
    path.write_text(line("last"))
    assert kept_logs.reclaim_rotated(tmp_path / "logs", Progress(tmp_path, 1 << 60)) == 2
    assert [one.name for one in sorted(path.parent.iterdir())] == ["0.log", "0.log.20260101-000002"]
