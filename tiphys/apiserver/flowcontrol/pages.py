"""Metrics of priority and fairness (`apiserver_flowcontrol_*`) and the tables under `/debug/api_priority_and_fairness/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from tiphys.api.machinery.errors import NotFound
from tiphys.apiserver.flowcontrol.fairness import Fairness
from tiphys.apiserver.flowcontrol.levels import WAIT_BUCKETS, Lane, Level, Waiting
from tiphys.wire.http import Request

PREFIX = "/debug/api_priority_and_fairness/"
_LANES: tuple[tuple[str, str, str, Callable[[Lane], int]], ...] = (
    ("dispatched_requests_total", "counter", "Requests that were let run.", lambda lane: lane.dispatched),
    ("current_executing_requests", "gauge", "Requests that run; of watches those that begin.", lambda lane: lane.executing),
    ("current_executing_seats", "gauge", "Seats that running requests hold.", lambda lane: lane.seats),
    ("current_inqueue_requests", "gauge", "Requests in queues.", lambda lane: lane.waiting),
)
_LEVELS: tuple[tuple[str, str, Callable[[Fairness, Level], int]], ...] = (
    ("nominal_limit_seats", "Seats of a level, before it lends or borrows.", lambda _, level: level.nominal),
    ("lower_limit_seats", "Seats that a level does not lend.", lambda _, level: level.lower),
    ("upper_limit_seats", "Seats that a level may have with what it borrows.", lambda _, level: level.upper),
    ("current_limit_seats", "Seats that a level could use now.", lambda fairness, level: fairness.limit_of(level)),
    ("current_inqueue_seats", "Seats that requests in queues wait for.", lambda _, level: level.waiting_seats),
)


def _series(name: str, type_: str, about: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP apiserver_flowcontrol_{name} {about}"
    yield f"# TYPE apiserver_flowcontrol_{name} {type_}"
    for labels, value in samples:
        yield f"apiserver_flowcontrol_{name}{labels} {value:g}"


def _labels(lane: Lane, more: str = "") -> str:
    return f'{{priority_level="{lane.level.name}",flow_schema="{lane.schema}"{more}}}'


def metrics(fairness: Fairness) -> Iterator[str]:
    """The lines of all metrics. Names of levels and schemas need no escaping."""
    lanes, levels = list(fairness.lanes()), list(fairness.levels())
    for name, about, read in _LEVELS:
        yield from _series(name, "gauge", about, ((f'{{priority_level="{level.name}"}}', read(fairness, level)) for level in levels))
    for name, type_, about, read_lane in _LANES:
        yield from _series(name, type_, about, ((_labels(lane), read_lane(lane)) for lane in lanes))
    refused = [(_labels(lane, f',reason="{reason}"'), count) for lane in lanes for reason, count in lane.rejected.items()]
    yield from _series("rejected_requests_total", "counter", "Requests that were refused.", refused)
    short = [(f'{{priority_level="{level.name}"}}', level.unaccommodated) for level in levels]
    about = "Times that the next in line found too few seats."
    yield from _series("request_dispatch_no_accommodation_total", "counter", about, short)
    yield from _waits(lanes)


def _waits(lanes: Iterable[Lane]) -> Iterator[str]:
    name = "apiserver_flowcontrol_request_wait_duration_seconds"
    yield f"# HELP {name} How long requests waited in their queues."
    yield f"# TYPE {name} histogram"
    for lane in lanes:
        refused = lane.rejected.get("time-out", 0)
        # Requests that never waited count as waits of no time.
        total = max(lane.dispatched + refused - sum(lane.waited), 0)
        for bound, count in zip((*WAIT_BUCKETS, "+Inf"), lane.waited, strict=True):
            total += count
            labels = _labels(lane, f',execute="true",le="{bound}"')
            yield f"{name}_bucket{labels} {total}"
        labels = _labels(lane, ',execute="true"')
        yield f"{name}_sum{labels} {lane.wait_seconds:.6f}"
        yield f"{name}_count{labels} {total}"


# ---- tables ----------------------------------------------------------------------------------------------------------------------------


def dump(fairness: Fairness, request: Request, path: str) -> str:
    """The table at a path below `PREFIX`; raises NotFound."""
    match path.removeprefix(PREFIX):
        case "dump_priority_levels":
            return _table(_level_rows(fairness))
        case "dump_queues":
            return _table(_queue_rows(fairness))
        case "dump_requests":
            return _table(_request_rows(fairness, details=bool(request.param("includeRequestDetails"))))
    raise NotFound.path()


def _table(rows: Iterable[list[Any]]) -> str:
    """Columns of equal width, each cell but the last with a comma."""
    lines = [[str(cell) + ("," if index < len(row) - 1 else "") for index, cell in enumerate(row)] for row in rows]
    widths = [max(8, *(len(cell) + 1 for cell in column)) for column in zip(*lines, strict=True)]
    return "".join("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines)


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _level_rows(fairness: Fairness) -> Iterator[list[Any]]:
    yield [
        "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests", "DispatchedRequests",
        "RejectedRequests", "TimedoutRequests", "CancelledRequests",
    ]  # fmt: skip
    lanes = list(fairness.lanes())
    for level in fairness.levels():
        gone, late = level.rejected.get("cancelled", 0), level.rejected.get("time-out", 0)
        dispatched = sum(lane.dispatched for lane in lanes if lane.level is level)
        yield [
            level.name, sum(1 for _ in level.active()), _bool(level.is_idle), _bool(level.quiescing), level.waiting, level.executing,
            dispatched, sum(level.rejected.values()) - gone - late, late, gone,
        ]  # fmt: skip


def _queue_rows(fairness: Fairness) -> Iterator[list[Any]]:
    yield ["PriorityLevelName", "Index", "PendingRequests", "NextDispatchR", "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum"]
    for level in fairness.levels():
        for queue in level.active():
            seats = sum(waiting.seats for waiting in queue.requests)
            work = sum(waiting.cost * waiting.flow.pace for waiting in queue.requests)
            yield [level.name, queue.index, len(queue.requests), f"{queue.progress:.8f}s", seats, seats, f"{work:.8f}ss"]


def _request_rows(fairness: Fairness, *, details: bool) -> Iterator[list[Any]]:
    row = [
        "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime", "InitialSeats",
        "FinalSeats", "AdditionalLatency", "StartTime",
    ]  # fmt: skip
    if details:
        row += ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]
    yield row
    behind = fairness.clock.now().timestamp() - fairness.clock.monotonic()
    for level in fairness.levels():
        for queue in level.active():
            for index, waiting in enumerate(queue.requests):
                yield _request_row(level, queue.index, index, waiting, behind, details=details)


def _request_row(level: Level, queue: int, index: int, waiting: Waiting, behind: float, *, details: bool) -> list[Any]:
    arrived = datetime.fromtimestamp(waiting.arrived + behind, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    never = "0001-01-01T00:00:00Z"
    row = [level.name, waiting.flow.lane.schema, queue, index, waiting.flow.name, arrived, waiting.seats, 0, "0s", never]
    if details:
        _, info, user = waiting.what
        version = f"{info.group}/{info.version}" if info.group else info.version
        row += [user.name, info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource]
    return row
