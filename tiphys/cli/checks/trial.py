"""Trials of kernel features in a child process with its own namespaces: whatever a trial creates vanishes with the child."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
from collections.abc import Callable

NAMESPACES = {"mount": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "network": 0x40000000, "pid": 0x20000000}
"""Flags of unshare(2)."""
_MS_PRIVATE_RECURSIVE = 0x40000 | 0x4000
_RTM_NEWLINK = 16
_CREATE = 0x1 | 0x4 | 0x200 | 0x400  # request, acknowledge, exclusive, create
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1

Trial = Callable[[], str]
"""Function that tries a feature and returns the problem, or ""."""


def in_namespaces(trials: dict[str, Trial], *, timeout: float = 10.0) -> dict[str, str]:
    """Run the trials in new namespaces; returns the problems by trial name, including those of the namespaces themselves.

    An unavailable namespace ends the run: later trials would affect the machine.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        # The child must not run any of the parent's exit code: no buffers flushed, no handlers called.
        code = 1
        with contextlib.suppress(BaseException):
            os.close(reader)
            _run(trials, writer)
            code = 0
        os._exit(code)
    os.close(writer)
    try:
        with os.fdopen(reader, encoding="utf-8", errors="replace") as answers:
            lines = answers.read().splitlines()
    finally:
        os.waitpid(pid, 0)
    return dict(line.partition("\t")[::2] for line in lines)


def _run(trials: dict[str, Trial], writer: int) -> None:
    def report(name: str, problem: str) -> None:
        os.write(writer, f"{name}\t{' '.join(problem.split())}\n".encode())

    libc = ctypes.CDLL(None, use_errno=True)

    def unshare(name: str) -> bool:
        failed = libc.unshare(NAMESPACES[name]) != 0
        report(f"{name} namespace", os.strerror(ctypes.get_errno()) if failed else "")
        return not failed

    # The PID namespace comes last: once its first process has ended, no other can be started.
    if not all(unshare(name) for name in NAMESPACES if name != "pid"):
        return
    if libc.mount(None, b"/", None, _MS_PRIVATE_RECURSIVE, None) != 0:
        report("mount namespace", os.strerror(ctypes.get_errno()))
        return
    for name, trial in trials.items():
        try:
            report(name, trial())
        except Exception as error:
            report(name, f"{type(error).__name__}: {error}")
    unshare("pid")


def link(kind: str) -> Trial:
    """Return a trial that creates a network link of a kind over netlink."""

    def trial() -> str:
        info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, kind.encode()))
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, f"try-{kind}".encode() + b"\0") + info
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.bind((0, 0))
            netlink.send(struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, _CREATE, 1, 0) + body)
            answer = netlink.recv(4096)
        (number,) = struct.unpack_from("=i", answer, 16)
        return os.strerror(-number) if number else ""

    return trial


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def nft(program: str, rules: str) -> Trial:
    """Return a trial that loads nftables rules."""

    def trial() -> str:
        done = subprocess.run([program, "-f", "-"], input=rules, capture_output=True, text=True, check=False, timeout=5)
        return "" if done.returncode == 0 else done.stderr.strip().splitlines()[0]

    return trial
