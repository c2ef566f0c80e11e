"""Settings of the sidecar, under the names that upstream's sidecars give to their options. Durations are in seconds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tiphys.settings.client import ClientSettings
from tiphys.settings.option import Option


class ProvisionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the loops that call a driver."""

    timeout: Annotated[float, Option("--timeout", "Maximum duration of each call to the driver.", is_duration=True, minimum=1)] = 10.0
    volume_name_prefix: Annotated[
        str, Option("--volume-name-prefix", "Prefix of the names of volumes, which end in the claim's UID.", metavar="PREFIX")
    ] = "pvc"
    snapshot_name_prefix: Annotated[
        str,
        Option("--snapshot-name-prefix", "Prefix of the names of snapshots, which end in the snapshot's UID.", metavar="PREFIX"),
    ] = "snapshot"
    default_fstype: Annotated[
        str, Option("--default-fstype", "File system of volumes whose storage class names none.", metavar="FSTYPE", default="the driver's")
    ] = ""
    extra_create_metadata: Annotated[
        bool, Option("--extra-create-metadata", "Pass the names of the claim and of its volume to the driver when it creates the volume.")
    ] = False
    strict_topology: Annotated[bool, Option("--strict-topology", "Request volumes in the topology segment of the selected node only.")] = (
        False
    )
    immediate_topology: Annotated[
        bool, Option("--immediate-topology", "Request volumes in the topology segments of all nodes when a claim has no selected node.")
    ] = True
    node: str = ""
    """Node whose claims alone are provisioned (distributed provisioning); empty for all claims."""


class CapacitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the storage capacity that schedulers read."""

    enabled: Annotated[bool, Option("--enable-capacity", "Publish a CSIStorageCapacity for each storage class and topology segment.")] = (
        False
    )
    poll_interval: Annotated[
        float, Option("--capacity-poll-interval", "Time between requests for the capacity of the driver.", is_duration=True, minimum=1)
    ] = 60.0
    for_immediate_binding: Annotated[
        bool, Option("--capacity-for-immediate-binding", "Publish the capacity for storage classes with immediate binding, too.")
    ] = False


class ElectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the election of one sidecar among several, for each part of it."""

    enabled: Annotated[bool, Option("--leader-election", "Wait to be elected before working, so that several can run side by side.")] = (
        False
    )
    namespace: Annotated[
        str,
        Option("--leader-election-namespace", "Namespace of the Leases.", metavar="NAMESPACE", default="that of its own pod, else default"),
    ] = ""
    lease_duration: Annotated[
        float,
        Option(
            "--leader-election-lease-duration",
            "Time that candidates wait after the last renewal before they take over.",
            is_duration=True,
            minimum=1,
        ),
    ] = 15.0
    renew_deadline: Annotated[
        float,
        Option(
            "--leader-election-renew-deadline",
            "Time for which the leader tries to renew before it gives up.",
            is_duration=True,
            minimum=1,
        ),
    ] = 10.0
    retry_period: Annotated[
        float, Option("--leader-election-retry-period", "Time between attempts to acquire or renew.", is_duration=True, minimum=1)
    ] = 5.0

    def faults(self) -> list[str]:
        """Return what is wrong with the durations."""
        if self.lease_duration > self.renew_deadline > self.retry_period > 0:
            return []
        return ["--leader-election-lease-duration must exceed --leader-election-renew-deadline, and that --leader-election-retry-period"]


class RegistrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the registration of a driver with the kubelet (node-driver-registrar)."""

    socket: Annotated[
        str,
        Option(
            "--kubelet-registration-path",
            "Path of the driver's socket on the host, under which the driver is registered with the kubelet.",
            metavar="PATH",
            default="none",
        ),
    ] = ""
    directory: Annotated[
        str,
        Option(
            "--plugin-registration-path",
            "Directory in which the kubelet looks for sockets of plugins, as mounted here.",
            metavar="DIRECTORY",
        ),
    ] = "/registration"


class SidecarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of `tiphys csi-sidecar`."""

    csi_address: Annotated[str, Option("--csi-address", "Path or unix:// URL of the driver's socket.", metavar="SOCKET")] = (
        "/run/csi/socket"
    )
    worker_threads: Annotated[int, Option("--worker-threads", "Maximum number of objects of a kind to process at once.", minimum=1)] = 100
    node_deployment: Annotated[
        bool,
        Option(
            "--node-deployment",
            "Provision only for claims whose selected node is this one, without election. NODE_NAME in the environment names the node.",
        ),
    ] = False
    feature_gates: Annotated[
        dict[str, str], Option("--feature-gates", "Features to turn on or off: Topology.", metavar="NAME=BOOL,...", default="Topology=true")
    ] = {}
    snapshot_controller: Annotated[
        bool,
        Option("--snapshot-controller", "Run the snapshot controller, which all drivers share."),
    ] = True
    http_endpoint: Annotated[
        str,
        Option("--http-endpoint", "Address of health checks and metrics, such as :8080.", metavar="HOST:PORT", default="none"),
    ] = ""
    metrics_path: Annotated[str, Option("--metrics-path", "Path of metrics.", metavar="PATH")] = "/metrics"
    provision: ProvisionSettings = ProvisionSettings()
    capacity: CapacitySettings = CapacitySettings()
    election: ElectionSettings = ElectionSettings()
    registration: RegistrationSettings = RegistrationSettings()
    client: ClientSettings = ClientSettings()

    def faults(self) -> list[str]:
        """Return what is wrong with the settings."""
        gates = [
            f"--feature-gates has {name}={value}, which is unknown: give Topology=true or Topology=false"
            for name, value in sorted(self.feature_gates.items())
            if name != "Topology" or value.lower() not in ("true", "false")
        ]
        return [*gates, *self.election.faults()]

    @property
    def topology(self) -> bool:
        """True if the driver's topology counts."""
        return self.feature_gates.get("Topology", "true").lower() == "true"
