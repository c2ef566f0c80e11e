"""Checks of the user, Python and architecture, and of the programs that the container runtime and the data plane need."""

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
"""First version that serves version 1 of the CRI."""
TRIED_ARCHITECTURES = ("x86_64", "aarch64")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")


def check_system(settings: ClusterSettings) -> Iterator[CheckResult]:
    if os.geteuid() == 0:
        yield CheckResult("root", "ok", "running as root")
    else:
        again = sys.argv[0] if not sys.argv[0].endswith(".py") else f"{sys.executable} -m tiphys"
        arguments = shlex.join(sys.argv[1:]) or "up"
        yield CheckResult("root", "fail", "containers need root; kernel and control groups were not tested", f"sudo {again} {arguments}")
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield CheckResult("python", "fail", f"Python {version} is too old: 3.11 or newer is required", install("python3.11"))
    else:
        yield CheckResult("python", "ok", f"Python {version}")
    if platform.machine() not in TRIED_ARCHITECTURES:
        message = f"{platform.machine()} is untested; tested are {' and '.join(TRIED_ARCHITECTURES)}"
        yield CheckResult("architecture", "warn", message, "none, if everything else passes")


def check_programs(settings: ClusterSettings) -> Iterator[CheckResult]:
    yield from _containerd()
    yield _program("runc", "runc", "it starts containers")
    yield _plugins()
    yield _program("nft", "nftables", "it implements Services")
    yield _program("ip", "iproute2", "it sets routes and addresses")
    yield _program("umount", "mount", "it unmounts volumes")
    if find_program("iptables") is None:
        yield CheckResult("iptables", "warn", "not installed: the hostPort of pods will not work", install("iptables"))


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
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=10)
    match = re.search(r"\bv?(\d+)\.(\d+)\.\d+", output.stdout)
    if output.returncode != 0:
        yield CheckResult("containerd", "fail", f"{path} does not run: {output.stderr.strip()}", install("--reinstall", "containerd"))
    elif match and (int(match[1]), int(match[2])) < OLDEST_CONTAINERD:
        message = f"{path} is version {match[0]}: {OLDEST_CONTAINERD[0]}.{OLDEST_CONTAINERD[1]} or newer is required"
        yield CheckResult("containerd", "fail", message, "upgrade it: https://github.com/containerd/containerd/releases")
    else:
        yield CheckResult("containerd", "ok", f"{path}{f', version {match[0]}' if match else ''}")
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
            return CheckResult("CNI plugins", "fail", f"missing in {directory}: {', '.join(missing)}", fix)
    return CheckResult("CNI plugins", "fail", f"not found in {', '.join(cni_dirs())} (they configure the network of pods)", fix)
