"""The outcome of one check, and the words that several checks share."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs of the system are, whatever the user's PATH leaves out."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was looked at, how it stands, and what to do when it does not stand well."""

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
    """The command that installs packages, by their Debian names, on this machine."""
    for manager, command in _INSTALL.items():
        if find_program(manager):
            names = [_OTHER_NAMES.get(manager, {}).get(package, package) for package in packages]
            return f"{command} {' '.join(names)}"
    return f"install {' '.join(packages)} with this machine's package manager"


def find_program(name: str) -> str | None:
    """The program's path, on the PATH or where systems keep such programs."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
