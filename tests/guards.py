"""Guards around every unit and integration test: what it starts and opens it ends and closes, and its event loop never waits for a call.

They report rather than raise where it happens: code that handles errors must not be able to hide what a guard found.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
import uvloop

END_TO_END = Path(__file__).parent / "e2e"

_blocking: list[str] = []


def is_guarded(item: pytest.Item) -> bool:
    """End-to-end tests drive processes and containers from their own loops: they have no part in this."""
    return END_TO_END not in item.path.parents


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give coroutines the guard that needs their loop; it is set up first, so that it looks after all other fixtures have ended."""
    for item in items:
        if is_guarded(item) and isinstance(item, pytest.Function) and is_coroutine(item.obj):
            item.fixturenames.insert(0, "no_tasks_left")


def is_coroutine(function: Any) -> bool:
    """Return whether the test runs on a loop, properties of hypothesis included."""
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", None)
    return iscoroutinefunction(function) or iscoroutinefunction(inner)


@pytest.fixture
async def no_tasks_left() -> AsyncIterator[None]:
    """Fail the test when a task of it still runs."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    calls = {task for task in left if "_AioCall" in getattr(task.get_coro(), "__qualname__", "")}
    if calls:
        # grpc's own ends of calls that were cancelled.
        left -= (await asyncio.wait(calls, timeout=5))[0]
    assert not left, f"tasks that nobody ended: {left}"


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when a file or socket of it is still open, or when a call blocked its loop."""
    if not is_guarded(request.node):
        yield
        return
    before = open_files()
    _blocking.clear()
    yield
    calls = "\n".join(_blocking)
    assert not calls, f"calls that block the event loop:\n{calls}"
    if not GRPC.isdisjoint(vars(request.node.module)):  # Threads of that library close its sockets later.
        return
    left = open_files().items() - before.items()
    if left:
        # Libraries such as grpc leave some to garbage; what ought to be closed warns when it is collected, and warnings are errors.
        gc.collect()
        left &= open_files().items()
    assert not left, f"files that nobody closed: {left}"


GRPC = frozenset(("grpc", "CsiClient", "served"))
"""Names in a test module that tell that it uses that library."""


def open_files() -> dict[int, str]:
    """Return the target of each open descriptor of this process."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # The one that listed them.
            continue
    return found


def _always(*_: Any, **__: Any) -> bool:
    return True


def _can_wait(connection: socket.socket, *_: Any, **__: Any) -> bool:
    return connection.gettimeout() != 0


def _shakes_hands(connection: socket.socket, *_: Any, **__: Any) -> bool:
    return connection.type == socket.SOCK_STREAM and _can_wait(connection)


def _is_name(host: Any, *_: Any, **__: Any) -> bool:
    """Return whether the host must be looked up."""
    return not all(character in "0123456789abcdefABCDEF.:" for character in str(host or ""))


def _is_running(thread: threading.Thread, *_: Any, **__: Any) -> bool:
    """Return whether the thread must be waited for; grpc wakes its poller before it joins it, when its last server or channel goes."""
    return thread.is_alive() and "(_poll_wrapper)" not in thread.name


def _is_unfinished(future: concurrent.futures.Future[Any], *_: Any, **__: Any) -> bool:
    return not future.done()


_WAITS: tuple[tuple[Any, str, Callable[..., bool]], ...] = (
    (time, "sleep", _always),
    (subprocess, "run", _always),
    (subprocess.Popen, "wait", lambda process, *_, **__: process.poll() is None),
    (subprocess.Popen, "communicate", _always),
    (socket, "getaddrinfo", _is_name),
    (socket, "gethostbyname", _is_name),
    (socket, "create_connection", _always),
    (socket.socket, "accept", _can_wait),
    (socket.socket, "connect", _shakes_hands),
    (socket.socket, "recv", _can_wait),
    (socket.socket, "sendall", _can_wait),
    (os, "fsync", _always),
    (os, "fdatasync", _always),
    (os, "system", _always),
    (shutil, "copytree", _always),
    (shutil, "rmtree", _always),
    (sqlite3, "connect", _always),
    (threading.Thread, "join", _is_running),
    (concurrent.futures.Future, "result", _is_unfinished),
)
"""Calls that can block for as long as a disk, a peer or another thread pleases, and the condition under which they do."""


def _report(name: str, wait: Callable[..., Any], blocks: Callable[..., bool]) -> Callable[..., Any]:
    @functools.wraps(wait)
    def call(*args: Any, **kwargs: Any) -> Any:
        is_own = not sys._getframe(1).f_globals["__name__"].startswith("asyncio.")
        if is_own and asyncio._get_running_loop() is not None and blocks(*args, **kwargs):
            _blocking.append(f"{name}, called from\n{''.join(traceback.format_stack(limit=8)[:-1])}")
        return wait(*args, **kwargs)

    return call


def pytest_configure() -> None:
    """Watch the calls from now on, and open what uvloop keeps open for all its loops."""
    uvloop.new_event_loop().close()
    for owner, name, blocks in _WAITS:
        setattr(owner, name, _report(f"{owner.__name__}.{name}", getattr(owner, name), blocks))
