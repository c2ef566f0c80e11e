"""Calls that end: a driver that hangs, or answers what no driver may, ends in an error of the tree like any other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tiphys.csi.driver import Driver
from tiphys.csi.errors import CsiError, Deadline, Failed, Unfinished
from tiphys.obs import metrics

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

SECONDS = metrics.histogram(
    "csi_sidecar_operations_seconds",
    "Duration of calls of a CSI driver.",
    "driver_name",
    "method_name",
    "grpc_status_code",
    stability="ALPHA",
)


class BoundedDriver(Driver):
    """A driver whose calls take at most `timeout` seconds each. Raises CsiError and nothing else (cancellation apart).

    What the driver did behind an answer that cannot be read, or a call that ran out of time, is unknown: both are `Unfinished`.
    """

    def __init__(self, driver: Driver, name: str, *, timeout: float) -> None:
        self._driver = driver
        self._name = name
        self._timeout = timeout

    async def close(self) -> None:
        """Close the driver behind this."""
        await self._driver.close()

    async def call(self, verb: str, request: Message, answer: type[R]) -> R:
        """Carry out any verb."""
        loop = asyncio.get_running_loop()
        started, code = loop.time(), "OK"
        try:
            async with asyncio.timeout(self._timeout):
                result = await getattr(self._driver, verb)(request)
            if not isinstance(result, answer):
                raise unreadable(verb, f"{type(result).__name__} is not the answer to {verb}")
        except CsiError as error:
            code = error.code
            raise
        except TimeoutError as error:
            code = Deadline.code
            raise Deadline("context deadline exceeded", verb=verb) from error
        except Exception as error:
            code = Failed.code
            raise unreadable(verb, f"{type(error).__name__}: {error}") from error
        else:
            return result
        finally:
            SECONDS.labels(self._name, f"/csi.v1/{verb}", code).observe(loop.time() - started)


def unreadable(verb: str, message: str) -> Unfinished:
    """Return the error for an answer that says nothing about what happened."""
    return Unfinished(message, verb=verb, code="INTERNAL")
