"""Settings of the sidecar, under the names that upstream's sidecars give to their options."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tiphys.settings.option import Option


class ProvisionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of provisioning and of calls to the driver. Durations are in seconds."""

    timeout: Annotated[float, Option("--timeout", "Time that the driver has for each answer.", is_duration=True, minimum=1)] = 10.0
    volume_name_prefix: Annotated[
        str, Option("--volume-name-prefix", "Beginning of the names of volumes, before the claim's uid.", metavar="PREFIX")
    ] = "pvc"
    default_fstype: Annotated[
        str, Option("--default-fstype", "File system of volumes whose class names none.", metavar="FSTYPE", default="the driver's")
    ] = ""
    extra_create_metadata: Annotated[
        bool, Option("--extra-create-metadata", "Tell the driver the names of the claim and the volume when it creates one.")
    ] = False
    strict_topology: Annotated[
        bool, Option("--strict-topology", "Ask for volumes at the selected node alone, not at other places that would do.")
    ] = False
    immediate_topology: Annotated[
        bool, Option("--immediate-topology", "Name the places of all nodes when no node is selected for a claim.")
    ] = True
    node: str = ""
    """Node whose claims alone are provisioned (distributed provisioning); empty for all claims."""
