"""Features of the runtime's handlers, as CRI reports them, and their use for pods.

("Recursive read-only mounts", KEP-3857; "User Namespaces", KEP-127; "Fine-grained SupplementalGroups control", KEP-3619)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.cri.pb import api_pb2 as pb


class HandlerFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """Features of one handler."""

    recursive_read_only: bool = False
    user_namespaces: bool = False


class RuntimeFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """Features of a runtime. Runtimes before containerd 2.0 report none."""

    handlers: Mapping[str, HandlerFeatures] = MappingProxyType({})
    """Features by the name of the handler, "" for the default one."""
    supplemental_groups_policy: bool = False

    def of(self, handler: str) -> HandlerFeatures:
        """Return the features of a handler, none for one that is not reported."""
        return self.handlers.get(handler, _NONE)

    def node_handlers(self) -> list[core.NodeRuntimeHandler]:
        """Return the handlers for the status of the node, by name; the default one also if none is reported."""
        if not self.handlers:
            return [core.NodeRuntimeHandler(name="")]
        return [
            core.NodeRuntimeHandler(
                name=name,
                features=core.NodeRuntimeHandlerFeatures(
                    recursiveReadOnlyMounts=features.recursive_read_only, userNamespaces=features.user_namespaces
                ),
            )
            for name, features in sorted(self.handlers.items())
        ]


_NONE = HandlerFeatures()


def read_features(response: pb.StatusResponse) -> RuntimeFeatures:
    """Return the features in a runtime's status."""
    handlers = {
        handler.name: HandlerFeatures(
            recursive_read_only=handler.features.recursive_read_only_mounts, user_namespaces=handler.features.user_namespaces
        )
        for handler in response.runtime_handlers
    }
    return RuntimeFeatures(handlers=handlers, supplemental_groups_policy=response.features.supplemental_groups_policy)


class KnownFeatures:
    """Features as last reported. The status of the node renews them: a runtime may be replaced while the kubelet runs."""

    def __init__(self, cri: CriClient) -> None:
        self._cri = cri
        self._latest: RuntimeFeatures | None = None

    @property
    def latest(self) -> RuntimeFeatures:
        """Features as last reported; none before the first report."""
        return self._latest or RuntimeFeatures()

    def update(self, response: pb.StatusResponse) -> None:
        """Take the features of a status that somebody has read."""
        self._latest = read_features(response)

    async def load(self) -> None:
        """Read the features, unless they are known. A runtime that does not answer is asked again by the status of the node."""
        if self._latest is None:
            try:
                self.update(await self._cri.status())
            except CriError:
                return
