"""Memory of unread answers is bounded in sum, and those that hold most go first."""

from __future__ import annotations

import pytest

from tiphys.http.backlog import CHECK_BYTES, Backlog, Unread, laggards, total

MB = 1 << 20


def own(size: int, stalled: float = 5.0) -> Unread:
    return Unread(size * MB, 0, None, stalled)


def shared(size: int, source: str = "pods", stalled: float = 5.0) -> Unread:
    return Unread(0, size * MB, source, stalled)


def test_shared_bytes_count_once() -> None:
    assert total([shared(5), shared(7), shared(3, "nodes"), own(2)]) == 12 * MB


def test_nobody_is_cut_within_the_budget() -> None:
    assert laggards([(number, own(1)) for number in range(64)], 64 * MB) == []
    assert laggards([(number, shared(60)) for number in range(1000)], 64 * MB) == []


def test_those_that_hold_most_go_first() -> None:
    waiting = [("a", own(10)), ("b", own(40)), ("c", own(20)), ("d", own(30))]
    assert laggards(waiting, 64 * MB) == ["b"]
    assert laggards(waiting, 30 * MB) == ["b", "d"]


def test_slow_readers_stay_unless_far_over_the_budget() -> None:
    assert laggards([("reads", own(50, stalled=0.1)), ("idle", own(20))], 64 * MB) == ["idle"]
    assert laggards([("a", own(50, stalled=0.1)), ("b", own(40, stalled=0.1))], 64 * MB) == []
    assert laggards([("a", own(90, stalled=0.1)), ("b", own(50, stalled=0.1))], 64 * MB) == ["a"]


@pytest.mark.parametrize("count", [10, 1000])
def test_the_rest_fits_and_not_all_are_cut(count: int) -> None:
    waiting = [(number, own(128 * 64 // count if count < 100 else 1)) for number in range(count)]
    cut = set(laggards(waiting, 64 * MB))
    rest = [unread for number, unread in waiting if number not in cut]
    assert total(rest) <= 64 * MB
    assert count < 100 or len(rest) > 32


class Connection:
    """One that waits for its reader."""

    def __init__(self, unread: Unread) -> None:
        self._unread = unread
        self.aborted = False

    def unread(self, now: float) -> Unread:
        return self._unread

    def abort(self) -> None:
        self.aborted = True


def test_a_check_cuts_connections_and_forgets_them() -> None:
    backlog = Backlog(64 * MB)
    connections = [Connection(own(size)) for size in (50, 10, 30)]
    for connection in connections:
        backlog.begin(connection, 0)
    backlog.check(0.0)
    assert [connection.aborted for connection in connections] == [True, False, False]
    assert (backlog.cut, list(backlog.waiting)) == (1, connections[1:])
    backlog.end(connections[0])


def test_many_bytes_of_answers_ask_for_a_check() -> None:
    backlog = Backlog()
    connection = Connection(own(1))
    assert not backlog.begin(connection, CHECK_BYTES)
    assert backlog.begin(connection, 1)
    backlog.check(0.0)
    assert not backlog.begin(connection, 1)
