"""Records of volumes, read by many threads at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiphys.node.local_path.records import Record, Records

COUNT = 60


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(tmp_path)
    for number in range(COUNT):
        record = Record(id=f"v{number}", name=f"v{number}", capacity=1 << 20, mode="Block")
        with made.making(record, f"default_c{number}_v{number}"):
            pass
    yield made
    made.close()


def test_threads_do_not_miss_volumes_of_one_another(records: Records) -> None:
    def misses(number: int) -> int:
        return (len(records.names()) != COUNT) + (records.find(f"v{number}") is None)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(misses, range(COUNT))) == 0


def test_volumes_may_be_removed_while_their_use_is_counted(records: Records) -> None:
    with ThreadPoolExecutor(8) as threads:
        counts = threads.map(lambda _: len(records.allocated()), range(COUNT))
        list(threads.map(lambda number: records.remove(f"v{number}"), range(1, COUNT)))
        assert all(1 <= count <= COUNT for count in counts)
    assert [record.id for record, _ in records.allocated()] == ["v0"]
