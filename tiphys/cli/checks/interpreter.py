"""Check of the Python interpreter: a build without optimization costs a quarter of the speed."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator

from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

DISTRIBUTION = "/usr"
"""Prefix of the interpreters of Linux distributions, which are all built with profile-guided optimization."""
OPTIMIZED = ("--enable-optimizations", "-fprofile-use")
FIX = "create the environment with the distribution's Python: rm -rf .venv, then make PYTHON=/usr/bin/python3 up"


def check(_: ClusterSettings) -> Iterator[CheckResult]:
    """Warn of an interpreter that is not optimized. `tools/bootstrap` uses the same test before there is an environment."""
    version = sys.version.split()[0]
    if is_optimized(sys.base_prefix, " ".join(str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CFLAGS"))):
        yield CheckResult("interpreter", "ok", f"Python {version}, built with optimization")
    else:
        yield CheckResult("interpreter", "warn", f"Python {version} of {sys.base_prefix} is built without optimization", FIX)


def is_optimized(prefix: str, flags: str) -> bool:
    """Return whether an interpreter with this prefix and these build flags has profile-guided optimization."""
    return prefix == DISTRIBUTION or any(flag in flags for flag in OPTIMIZED)
