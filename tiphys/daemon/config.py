"""Configuration files of a cluster (`--config`): documents of upstream's kinds, each for the component that it is upstream's of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tiphys.daemon.settings import ClusterSettings, SettingsError
from tiphys.node import configuration as kubelet
from tiphys.scheduler import configuration as scheduler
from tiphys.settings.file import ConfigurationError, read_documents

KUBELET: Mapping[tuple[str, str], type[msgspec.Struct]] = {(kubelet.GROUP_VERSION, kubelet.KIND): kubelet.KubeletConfiguration}
SCHEDULER: Mapping[tuple[str, str], type[msgspec.Struct]] = {
    (scheduler.GROUP_VERSION, scheduler.KIND): scheduler.KubeSchedulerConfiguration
}


def read_config(path: Path, kinds: Mapping[tuple[str, str], type[msgspec.Struct]] = {**KUBELET, **SCHEDULER}) -> dict[str, Any]:
    """Return the layer of settings that a file sets. Raises SettingsError with all that is wrong."""
    try:
        return read_documents(path, kinds, ClusterSettings)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): give another file with --config") from error
    except ConfigurationError as error:
        problems = [message for _, message in error.faults]
        if len(problems) == 1:
            raise SettingsError(f"{path}: {problems[0]}") from error
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise SettingsError(f"{path} has {len(problems)} problems:{lines}") from error
