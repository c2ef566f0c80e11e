"""Claims that drivers prepared, or may have prepared, and the pods that use them. On disk before a driver is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tiphys.node.dra.pb import dra_pb2 as pb

NAME = "dra_manager_state"
"""Name of the file in the kubelet's directory."""


class PreparedDevice(msgspec.Struct, frozen=True):
    """Device that a driver prepared."""

    pool: str
    device: str
    requests: tuple[str, ...] = ()
    """Requests that it is for; all if empty."""
    cdi: tuple[str, ...] = ()

    def serves(self, request: str) -> bool:
        """Return whether the device is for a request; the empty one stands for all. An alternative's name is `REQUEST/ALTERNATIVE`."""
        return not request or not self.requests or any(request in (one, one.partition("/")[0]) for one in self.requests)


class PreparedClaim(msgspec.Struct):
    """A claim with its pods, by uid, and its devices by driver; None for a driver that has not answered yet."""

    namespace: str
    name: str
    uid: str
    drivers: dict[str, tuple[PreparedDevice, ...] | None]
    pods: list[str] = []

    @property
    def message(self) -> pb.Claim:
        return pb.Claim(namespace=self.namespace, uid=self.uid, name=self.name)

    @property
    def is_prepared(self) -> bool:
        return all(devices is not None for devices in self.drivers.values())

    def cdi(self, request: str) -> Iterator[str]:
        """Yield the CDI names of the devices for a request."""
        for devices in self.drivers.values():
            for device in devices or ():
                if device.serves(request):
                    yield from device.cdi


def encode(claims: Mapping[str, PreparedClaim]) -> bytes:
    """Return the file for these claims. Equal states give equal files."""
    return msgspec.json.encode([claims[uid] for uid in sorted(claims)])


def decode(content: bytes) -> dict[str, PreparedClaim]:
    """Return the claims of a file. Raises ValueError."""
    return {claim.uid: claim for claim in msgspec.json.decode(content, type=list[PreparedClaim])}


def prepared(devices: object) -> tuple[PreparedDevice, ...]:
    """Return the devices of a driver's answer."""
    return tuple(
        PreparedDevice(one.pool_name, one.device_name, tuple(one.request_names), tuple(one.cdi_device_ids))
        for one in devices  # type: ignore[attr-defined]
    )
