"""`tiphys logs --deleted`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from tiphys.cli.errors import Failure
from tiphys.cli.logs import command
from tiphys.node.garbage.kept_logs import put_away
from tiphys.node.settings import NodeSettings


def line(text: str) -> str:
    return f"2026-01-01T00:00:00.000000000Z stdout F {text}\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A data directory with logs of deleted pods: `web` twice, and `db` with two containers."""
    settings = NodeSettings(name="n", root=tmp_path / "node")
    logs = {"web_u1": {"main": "old"}, "web_u2": {"main": "new"}, "db_u3": {"db": "data", "side": "car"}}
    for hour, (name, containers) in enumerate(logs.items()):
        directory = settings.logs / f"default_{name}"
        for container, text in containers.items():
            (directory / container).mkdir(parents=True)
            (directory / container / "0.log").write_text(line(f"{text} 1") + line(f"{text} 2"))
        put_away(settings, directory, datetime(2026, 1, 1, hour, tzinfo=UTC))
    return tmp_path


def run(node: Path, *arguments: str) -> str:
    result = CliRunner().invoke(command, ["--data-dir", str(node), "--deleted", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_lists_the_newest_first(node: Path) -> None:
    head, *rows = [row.split() for row in run(node).splitlines()]
    assert head == ["NAMESPACE", "POD", "CONTAINER", "RESTART", "DELETED", "SIZE", "UID"]
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("db", "db", "u3"),
        ("db", "side", "u3"),
        ("web", "main", "u2"),
        ("web", "main", "u1"),
    ]
    assert run(node, "-n", "other") == "no logs of deleted pods\n"


def test_prints_the_log_of_the_pod_that_was_deleted_last(node: Path) -> None:
    assert run(node, "web") == "new 1\nnew 2\n"
    assert run(node, "default/web", "--uid", "u1") == "old 1\nold 2\n"
    assert run(node, "db", "-c", "side", "--tail", "1", "--timestamps") == "2026-01-01T00:00:00.000000000Z car 2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("db",), "the pod db had several containers, choose one with -c: db, side"),
        (("gone",), "no log of a deleted pod gone is kept"),
        (("web", "--restart", "4"), "no log of restart 4 is kept, only of 0"),
    ],
)
def test_says_what_to_choose(node: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(Failure, match=message):
        run(node, *arguments)


def test_logs_of_pods_that_exist_are_kubectls(node: Path) -> None:
    with pytest.raises(Failure, match="tiphys kubectl logs"):
        CliRunner().invoke(command, ["--data-dir", str(node)], catch_exceptions=False)
