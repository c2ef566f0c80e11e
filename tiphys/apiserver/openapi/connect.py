"""Parameters of the subresources that are streams, by the kind of their options. A proxy's path only stands in URLs."""

from __future__ import annotations

from tiphys.api.core.v1.options import PodAttachOptions, PodExecOptions, PodLogOptions, PodPortForwardOptions
from tiphys.apiserver.openapi.parameters import Parameter, of_options

_PATH = (Parameter("path", "string", "The path that is asked for behind the proxy."),)

CONNECT: dict[str, tuple[Parameter, ...]] = {
    "NodeProxyOptions": _PATH,
    "PodAttachOptions": of_options(PodAttachOptions),
    "PodExecOptions": of_options(PodExecOptions),
    "PodPortForwardOptions": of_options(PodPortForwardOptions),
    "PodProxyOptions": _PATH,
    "ServiceProxyOptions": _PATH,
}

LOG: tuple[Parameter, ...] = of_options(PodLogOptions)
