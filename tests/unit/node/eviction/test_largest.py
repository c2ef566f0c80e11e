"""The directories that fill a disk."""

from __future__ import annotations

import os
from pathlib import Path

from tiphys.node.eviction.largest import Largest, largest

MI = 1 << 20


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def test_the_deepest_directory_that_holds_most_is_named(tmp_path: Path) -> None:
    write(tmp_path / "var" / "log" / "app" / "one", 3 * MI)
    write(tmp_path / "home" / "a" / "x", MI)
    write(tmp_path / "home" / "b" / "y", MI)
    write(tmp_path / "etc" / "small", 1000)
    (tmp_path / "var" / "loop").symlink_to(tmp_path)
    places = largest(tmp_path)
    assert [path for path, _ in places.directories] == [str(tmp_path / name) for name in ("var/log/app", "home/a", "home/b")]
    assert [round(size / MI) for _, size in places.directories] == [3, 1, 1]
    assert str(places).startswith(f"{tmp_path}/var/log/app 3.0Mi, ")
    assert [path for path, _ in largest(tmp_path, count=1).directories] == [str(tmp_path / "var/log/app")]


def test_files_side_by_side_are_those_of_their_directory(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / "spool" / str(number), 100_000)
        write(tmp_path / "spool" / f"d{number}" / "f", 50_000)
    assert [path for path, _ in largest(tmp_path).directories] == [str(tmp_path / "spool")]


def test_the_search_is_bounded_and_not_blinded_by_many_files(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / "a" / "many").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "many" / str(number)).touch()
    write(tmp_path / "b" / "large", MI)
    places = largest(tmp_path, entries=50)
    assert not places.is_complete
    assert [path for path, _ in places.directories] == [str(tmp_path / "b")]
    assert str(places).endswith(" (of the files that could be counted in time)")
    assert largest(tmp_path, entries=1000).is_complete


def test_names_that_containers_choose_cannot_break_the_message(tmp_path: Path) -> None:
    write(tmp_path / "a\nb\x1b[31m" / "f", MI)
    assert "/a?b?[31m 1.0Mi" in str(largest(tmp_path))
    assert len(str(Largest((("/" + "x" * 3000, 5),)))) < 250


def test_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert str(largest(tmp_path / "gone")) == ""
    assert largest(tmp_path / "gone") == Largest()
