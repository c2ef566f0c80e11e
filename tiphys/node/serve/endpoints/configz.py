"""/configz: the configuration in force, as a `KubeletConfiguration` ("Kubelet Configuration (v1beta1)"). Pure.

Only fields that mean something here are shown, with the values that this kubelet goes by: where upstream has a choice that it has not, the
field shows what it does.
"""

from __future__ import annotations

from typing import Any

from tiphys.node.configuration import KubeletConfiguration
from tiphys.node.settings import NodeSettings
from tiphys.settings.file import render


def configuration(settings: NodeSettings) -> dict[str, Any]:
    """The page's document."""
    document = render(KubeletConfiguration, settings)
    return {"kubeletconfig": document | {"enableServer": settings.tls_cert is not None, "podLogsDir": str(settings.logs)}}
