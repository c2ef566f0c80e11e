"""Checks that this machine can run a cluster: each feature is exercised where that is cheap, and each problem comes with a fix.

`tiphys up` refuses to start when a check fails; `tiphys doctor` shows all of them. The host pitfalls are those that users of other small
distributions ran into; see DESIGN.md of the command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from tiphys.cli.checks.result import CheckResult, Status
from tiphys.daemon.settings import ClusterSettings

__all__ = ["CheckResult", "Status", "run_checks"]

FOR_CONTAINERS = frozenset(("system", "programs", "cgroups", "kernel", "network", "limits", "local storage"))
"""Checks of what containers need: hollow nodes run without."""
Check = Callable[[ClusterSettings], Iterable[CheckResult]]


def _checks() -> list[tuple[str, Check]]:
    from tiphys.cli.checks import certificates, cgroups, hollow, interpreter, kernel, network, ports, programs, resources, storage

    as_root: list[tuple[str, Check]] = [("cgroups", cgroups.check), ("kernel", kernel.check)] if os.geteuid() == 0 else []
    return [
        ("system", programs.check_system),
        ("interpreter", interpreter.check),
        ("programs", programs.check_programs),
        *as_root,
        ("disk", resources.check_disk),
        ("memory", resources.check_memory),
        ("clock", resources.check_clock),
        ("certificates", certificates.check),
        ("limits", resources.check_limits),
        ("ports", ports.check),
        ("hollow rules", hollow.check),
        ("network", network.check),
        ("local storage", storage.check),
    ]


def run_checks(settings: ClusterSettings) -> list[CheckResult]:
    """Run all checks for a cluster with these settings. Takes a fraction of a second, leaves nothing behind and never raises."""
    skipped = FOR_CONTAINERS if settings.is_hollow else frozenset()
    return [result for name, check in _checks() if name not in skipped for result in _guarded(name, check, settings)]


def _guarded(name: str, check: Check, settings: ClusterSettings) -> Iterator[CheckResult]:
    try:
        yield from check(settings)
    except Exception as error:
        # A check that breaks must not keep a cluster from starting; the start itself will show.
        yield CheckResult(
            name, "warn", f"check failed to run ({type(error).__name__}: {error})", "none known; the cluster may start nevertheless"
        )
