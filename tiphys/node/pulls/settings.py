"""Settings of image pulls ("Kubelet Configuration (v1beta1)", "Configure a kubelet image credential provider")."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tiphys.settings.option import Option

Policy = Literal["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"]
"""Images on the node for which the credentials of pods are checked (`imagePullCredentialsVerificationPolicy`)."""
AT_ONCE = 5


class PullOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of pulls, credentials of the node, and who may use what is there."""

    max_parallel_pulls: int = AT_ONCE
    """Pulls at once, 0 for no limit. Upstream pulls one at a time unless told otherwise, so that one large image holds up the node."""
    pulls_per_second: float = 5.0
    pull_burst: int = 10
    pull_verification: Policy = "NeverVerifyPreloadedImages"
    pull_allowlist: tuple[str, ...] = ()
    credential_provider_config: Annotated[
        Path | None,
        Option(
            "--image-credential-provider-config",
            "CredentialProviderConfig file, or a directory of them: programs that supply logins for registries.",
            metavar="PATH",
            default="none",
            is_directory=True,
        ),
    ] = None
    credential_provider_directory: Annotated[
        Path | None,
        Option("--image-credential-provider-bin-dir", "Directory of the credential provider programs.", default="none", is_directory=True),
    ] = None
