"""Constant writes to a database, with a record of what was acknowledged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tests.e2e.storage.postgres import Connection, DatabaseError
from tiphys.testing.cluster import wait_for

WRITERS = 3
PAUSE = 0.05
"""Seconds between attempts to connect."""


class Load:
    """Clients that insert numbered rows, each in a transaction of its own, and connect again whenever the connection is lost."""

    def __init__(self, host: str, password: str) -> None:
        self._host, self._password = host, password
        self._ended = threading.Event()
        self._acknowledged: list[set[int]] = [set() for _ in range(WRITERS)]
        self._tried: list[set[int]] = [set() for _ in range(WRITERS)]
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        """Write until the block ends."""
        wait_for(self._prepared)
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def acknowledged(self) -> set[int]:
        """Return the numbers of all rows whose commit was acknowledged so far."""
        return {number for numbers in self._acknowledged for number in numbers.copy()}

    def check(self, *, more: int = 30) -> None:
        """Wait until more rows are acknowledged, then compare those that are there with those that must be there."""
        before = len(self.acknowledged())
        wait_for(lambda: len(self.acknowledged()) >= before + more, timeout=90)
        expected = self.acknowledged()
        rows = wait_for(self._rows, timeout=90)
        assert not expected - rows, f"lost {len(expected - rows)} of {len(expected)} acknowledged rows: {sorted(expected - rows)[:20]}"
        tried = {number for numbers in self._tried for number in numbers.copy()}
        assert not rows - tried

    def _rows(self) -> set[int] | None:
        """Return the numbers of the rows that are there, None while the database restarts."""
        try:
            with Connection(self._host, self._password) as connection:
                return {int(number) for (number,) in connection.query("select number from rows")}
        except (OSError, DatabaseError):
            return None

    def _prepared(self) -> bool:
        try:
            with Connection(self._host, self._password) as connection:
                connection.query("create table if not exists rows (number bigint primary key, text text not null)")
        except (OSError, DatabaseError):
            return False
        return True

    def _write(self, writer: int) -> None:
        number = writer
        while not self._ended.is_set():
            try:
                with Connection(self._host, self._password) as connection:
                    while not self._ended.is_set():
                        number += WRITERS
                        self._tried[writer].add(number)
                        connection.query(f"insert into rows values ({number}, repeat('x', 200))")
                        self._acknowledged[writer].add(number)
            except (OSError, DatabaseError):
                self._ended.wait(PAUSE)
