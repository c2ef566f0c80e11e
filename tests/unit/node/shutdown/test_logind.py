"""The lock and the announcements of logind, with stand-ins for systemd's programs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.node.shutdown.logind import Logind, announcement, is_available
from tiphys.testing.eventually import eventually

SIGNAL = '{{"type":"signal","member":"PrepareForShutdown","payload":{{"type":"b","data":[{}]}}}}'


def test_announcements_are_told_from_other_messages() -> None:
    assert announcement(SIGNAL.format("true")) is True
    assert announcement(SIGNAL.format("false")) is False
    for other in ("", "Monitoring bus message stream.", "[]", "{}", '{"member":"PrepareForSleep","payload":{"data":[true]}}'):
        assert announcement(other) is None
    assert announcement('{"member":"PrepareForShutdown","payload":{"data":[]}}') is None


class Systemd:
    """Programs on the path that leave traces in a directory: `held` while the lock is held, and what logind allows in `allowed`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.drop_in = directory / "logind.conf.d" / "99.conf"
        self.told: list[str] = []
        self.finished = asyncio.Event()
        (directory / "allowed").write_text("5000000")
        (directory / "messages").touch()
        self._program(
            "systemd-inhibit", f'touch {directory}/held; echo "$@" > {directory}/inhibit; trap "exit 0" TERM; cat; rm {directory}/held'
        )
        self._program(
            "busctl",
            f'case "$*" in *get-property*) echo "t $(cat {directory}/allowed)";; *) exec tail -n +1 -f {directory}/messages;; esac',
        )
        self._program("systemctl", f"sed -n s/InhibitDelayMaxSec=//p {self.drop_in} | sed s/$/000000/ > {directory}/allowed")

    def _program(self, name: str, script: str) -> None:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def announce(self, value: str) -> None:
        with (self.directory / "messages").open("a") as file:
            file.write(SIGNAL.format(value) + "\n")

    def logind(self, seconds: int) -> Logind:
        begin, cancel = (lambda: self.told.append("begin")), (lambda: self.told.append("cancel"))
        return Logind(seconds, LoopClock(), begin, cancel, self.finished, drop_in=self.drop_in)


@pytest.fixture
async def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return made


async def test_a_shutdown_is_delayed_until_the_pods_have_ended(systemd: Systemd) -> None:
    task = asyncio.create_task(systemd.logind(30).run())
    try:
        held = systemd.directory / "held"
        await eventually(held.exists)
        await eventually(lambda: "--mode=delay" in (systemd.directory / "inhibit").read_text())
        assert "InhibitDelayMaxSec=30\n" in systemd.drop_in.read_text()
        systemd.announce("true")
        await eventually(lambda: systemd.told == ["begin"])
        (systemd.directory / "inhibit").unlink()
        systemd.finished.set()
        systemd.announce("false")
        await eventually(lambda: systemd.told == ["begin", "cancel"])
        # The next shutdown is delayed, too.
        await eventually((systemd.directory / "inhibit").exists)
    finally:
        await cancel_and_wait(task)


async def test_a_delay_that_is_long_enough_is_left_alone(systemd: Systemd) -> None:
    task = asyncio.create_task(systemd.logind(5).run())
    try:
        await eventually((systemd.directory / "held").exists)
        assert not systemd.drop_in.exists()
    finally:
        await cancel_and_wait(task)


def test_only_a_machine_of_systemd_has_logind(systemd: Systemd, tmp_path: Path) -> None:
    assert is_available(tmp_path)
    assert not is_available(tmp_path / "none")
    (tmp_path / "busctl").unlink()
