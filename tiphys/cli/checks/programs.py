"""Who runs this, on what Python and which architecture; and the programs of the runtime and the data plane."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tiphys.cli.checks.result import CheckResult, find_program, install
from tiphys.daemon.settings import ClusterSettings

OLDEST_PYTHON = (3, 11)
OLDEST_CONTAINERD = (1, 6)
"""The first that speaks version 1 of the CRI."""
TRIED_ARCHITECTURES = ("x86_64", "aarch64")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")


def check_system(settings: ClusterSettings) -> Iterator[CheckResult]:
    if os.geteuid() == 0:
        yield CheckResult("root", "ok", "running as root")
    else:
        again = sys.argv[0] if not sys.argv[0].endswith(".py") else f"{sys.executable} -m tiphys"
        arguments = shlex.join(sys.argv[1:]) or "up"
        yield CheckResult("root", "fail", "containers need root; kernel and control groups were not tried", f"sudo {again} {arguments}")
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield CheckResult("python", "fail", f"Python {version} is too old, 3.11 is needed", install("python3.11"))
    else:
        yield CheckResult("python", "ok", f"Python {version}")
    if platform.machine() not in TRIED_ARCHITECTURES:
        message = f"{platform.machine()} has not been tried; {' and '.join(TRIED_ARCHITECTURES)} have"
        yield CheckResult("architecture", "warn", message, "none needed if everything else passes")


def check_programs(settings: ClusterSettings) -> Iterator[CheckResult]:
    yield from _containerd()
    yield _program("runc", "runc", "starts containers")
    yield _plugins()
    yield _program("nft", "nftables", "Services are nftables rules")
    yield _program("ip", "iproute2", "routes and addresses of the cluster")
    yield _program("umount", "mount", "volumes are mounts")
    if find_program("iptables") is None:
        yield CheckResult("iptables", "warn", "not installed; hostPort of pods will not work", install("iptables"))


def _program(name: str, package: str, purpose: str) -> CheckResult:
    path = find_program(name)
    if path is None:
        return CheckResult(name, "fail", f"not installed ({purpose})", install(package))
    return CheckResult(name, "ok", path)


def _containerd() -> Iterator[CheckResult]:
    path = find_program("containerd")
    if path is None:
        yield CheckResult("containerd", "fail", "not installed (it runs the containers)", install("containerd"))
        return
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d+", said.stdout)
    if said.returncode != 0:
        yield CheckResult("containerd", "fail", f"{path} does not run: {said.stderr.strip()}", install("--reinstall", "containerd"))
    elif found and (int(found[1]), int(found[2])) < OLDEST_CONTAINERD:
        message = f"{path} is version {found[0]}; {OLDEST_CONTAINERD[0]}.{OLDEST_CONTAINERD[1]} or newer is needed"
        yield CheckResult("containerd", "fail", message, "upgrade it: https://github.com/containerd/containerd/releases")
    else:
        yield CheckResult("containerd", "ok", f"{path}{f', version {found[0]}' if found else ''}")
    if find_program("ctr") is None:
        yield CheckResult("ctr", "fail", "not installed (it imports images)", install("--reinstall", "containerd"))


def _plugins() -> CheckResult:
    from tiphys.daemon.host import cni_dirs

    fix = install("containernetworking-plugins")
    for directory in cni_dirs():
        missing = [name for name in PLUGINS if not os.access(Path(directory, name), os.X_OK)]
        if not missing:
            return CheckResult("CNI plugins", "ok", directory)
        if len(missing) < len(PLUGINS):
            return CheckResult("CNI plugins", "fail", f"{directory} has no {', '.join(missing)}", fix)
    return CheckResult("CNI plugins", "fail", f"none of {', '.join(cni_dirs())} has them (they make the pods' network)", fix)
