"""Result of a check, and helpers shared by several checks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Search path of system programs, used in addition to the user's PATH."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check: its name, status and message, and the fix unless the status is ok."""

    name: str
    status: Status
    message: str
    fix: str = ""


_OTHER_NAMES = {"dnf": {"iproute2": "iproute", "mount": "util-linux"}, "apk": {"containernetworking-plugins": "cni-plugins"}}
_INSTALL = {
    "apt-get": "apt-get install -y",
    "dnf": "dnf install -y",
    "zypper": "zypper install -y",
    "pacman": "pacman -S",
    "apk": "apk add",
}


def install(*packages: str) -> str:
    """Return the command that installs packages, given by their Debian names, on this machine."""
    for manager, command in _INSTALL.items():
        if find_program(manager):
            names = [_OTHER_NAMES.get(manager, {}).get(package, package) for package in packages]
            return f"{command} {' '.join(names)}"
    return f"install {' '.join(packages)} with this machine's package manager"


def find_program(name: str) -> str | None:
    """Return the path of a program, from the PATH or the system's directories."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
