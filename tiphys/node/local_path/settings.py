"""Settings of the volumes on the node's own disk, and the names of their driver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from tiphys.api import well_known
from tiphys.settings.option import Option

NAME: Final = well_known.LOCAL_PATH_DRIVER
"""Name of the driver, and the provisioner of its classes."""
TOPOLOGY_KEY: Final = well_known.HOSTNAME


class LocalStorageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of local storage that options set."""

    enabled: Annotated[
        bool,
        Option("--local-storage", "Provide volumes on the disks of nodes, with the StorageClass local-path."),
    ] = True
    directory: Annotated[
        Path | None,
        Option("--local-storage-dir", "Directory of local volumes.", default="storage in the data directory", is_directory=True),
    ] = None
    overcommit: Annotated[
        bool,
        Option(
            "--local-storage-overcommit",
            "Let local volumes promise more than the disk has. A volume then can fill the disk for all others.",
        ),
    ] = False
