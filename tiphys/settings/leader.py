"""Settings of leader election, which the controllers and the scheduler have in common (names and numbers are upstream's)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tiphys.settings.option import Option


class LeaderElectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the election of one process among several. Durations are in seconds."""

    leader_elect: Annotated[bool, Option("--leader-elect", "Wait to be elected before working, so that several can run side by side.")] = (
        True
    )
    lease_duration: Annotated[
        float,
        Option(
            "--leader-elect-lease-duration",
            "Time that candidates wait after the last renewal before they take over.",
            is_duration=True,
            minimum=1,
        ),
    ] = 15.0
    renew_deadline: Annotated[
        float,
        Option(
            "--leader-elect-renew-deadline", "Time for which the leader tries to renew before it gives up.", is_duration=True, minimum=1
        ),
    ] = 10.0
    retry_period: Annotated[
        float, Option("--leader-elect-retry-period", "Time between attempts to acquire or renew.", is_duration=True, minimum=1)
    ] = 2.0
    resource_lock: Annotated[str, Option("--leader-elect-resource-lock", "Kind of object that is the lock.", choices=("leases",))] = (
        "leases"
    )
    resource_name: Annotated[
        str,
        Option(
            "--leader-elect-resource-name",
            "Name of the Lease.",
            metavar="NAME",
            default="kube-controller-manager or kube-scheduler",
        ),
    ] = ""
    resource_namespace: Annotated[str, Option("--leader-elect-resource-namespace", "Namespace of the Lease.", metavar="NAMESPACE")] = (
        "kube-system"
    )

    def faults(self) -> list[str]:
        """Return what is wrong with the durations."""
        if self.lease_duration > self.renew_deadline > self.retry_period > 0:
            return []
        return ["--leader-elect-lease-duration must exceed --leader-elect-renew-deadline, and that --leader-elect-retry-period"]
