"""One driver as the kubelet calls it: with a deadline, counted, and with errors that say whether anything may have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from tiphys.aio.clock import monotonic
from tiphys.csi.client import DEFAULT_TIMEOUT
from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Deadline, Exhausted, Unfinished
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi import metrics

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

STAGE = pb.NodeServiceCapability.RPC.STAGE_UNSTAGE_VOLUME
EXPAND = pb.NodeServiceCapability.RPC.EXPAND_VOLUME
STATS = pb.NodeServiceCapability.RPC.GET_VOLUME_STATS
CONDITION = pb.NodeServiceCapability.RPC.VOLUME_CONDITION
MULTI_WRITER = pb.NodeServiceCapability.RPC.SINGLE_NODE_MULTI_WRITER
MOUNT_GROUP = pb.NodeServiceCapability.RPC.VOLUME_MOUNT_GROUP

STRIPPED = "***stripped***"
_SHORTEST_SECRET = 4
"""Characters below which a value is not looked for in messages: "1" or "no" would take the sense out of them."""


def is_final(error: CsiError) -> bool:
    """Return whether a request is certain not to be carried out any more.

    RESOURCE_EXHAUSTED is not final, since gRPC servers give it for requests that they had no room to answer.
    """
    return not isinstance(error, (Unfinished, Exhausted))


class DriverService:
    """The node's side of one driver. Closed by `retire`, when the last call has ended."""

    def __init__(self, name: str, driver: Driver, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.name = name
        self.driver = driver
        self.timeout = timeout
        self._calls = 0
        self._retired = False

    async def call(self, verb: str, request: Message, answer: type[R], *, secrets: Iterable[str] = ()) -> R:
        """Make a call; values of `secrets` are kept out of the message of an error. Raises CsiError and nothing else.

        A driver that does not answer within the timeout raises Deadline, whatever becomes of the request.
        """
        started = monotonic()
        code = "OK"
        self._calls += 1
        try:
            result = await self._deliver(verb, request)
            if not isinstance(result, answer):
                raise Unfinished(f"the driver answered with a {type(result).__name__}", verb=verb, code="INTERNAL")
            return result
        except CsiError as error:
            code = error.code
            raise _scrubbed(error, secrets) from None
        finally:
            status = "".join(part.capitalize() for part in code.split("_")) if code != "OK" else code
            metrics.OPERATIONS.labels(self.name, f"/csi.v1.{_SERVICES[verb]}/{verb}", status, "false").observe(monotonic() - started)
            self._calls -= 1
            await self._close_idle()

    async def capabilities(self) -> frozenset[int]:
        """Return the verbs and features that the driver offers on nodes now: it may have been replaced by another version."""
        answer = await self.call("NodeGetCapabilities", pb.NodeGetCapabilitiesRequest(), pb.NodeGetCapabilitiesResponse)
        return frozenset(one.rpc.type for one in answer.capabilities if one.HasField("rpc"))

    async def retire(self) -> None:
        """Give up the connection once no call uses it."""
        self._retired = True
        await self._close_idle()

    async def _deliver(self, verb: str, request: Message) -> object:
        try:
            async with asyncio.timeout(self.timeout):
                return await getattr(self.driver, verb)(request)
        except TimeoutError:
            raise Deadline("context deadline exceeded", verb=verb) from None
        except CsiError:
            raise
        except Exception as error:
            raise Unfinished(f"{type(error).__name__}: {error}", verb=verb, code="UNKNOWN") from error

    async def _close_idle(self) -> None:
        if self._retired and not self._calls:
            await self.driver.close()


_SERVICES: Mapping[str, str] = {
    method.name: service.name for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods
}


def _scrubbed(error: CsiError, secrets: Iterable[str]) -> CsiError:
    message = error.message
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            message = message.replace(secret, STRIPPED)
    return error if message == error.message else type(error)(message, verb=error.verb, code=error.code)
