"""Conversion of internal errors to the Status for the client: the only place that interprets errors of the store."""

from __future__ import annotations

import logging

import msgspec

from tiphys.api.machinery.errors import Gone, InternalError, ServiceUnavailable, StatusError
from tiphys.api.meta.v1 import Status, StatusDetails
from tiphys.apiserver.chain.options import too_large_version
from tiphys.store.contract import Compacted, FutureRevision, StoreClosed, StoreCorrupt, StoreError, StoreFull
from tiphys.wire.http import Request, Response

log = logging.getLogger(__name__)


class InsufficientStorage(StatusError):
    """The store has no room. It is not retried: an operator has to make space, and deletes still work."""

    code, reason = 507, "InsufficientStorage"


def failure_of(error: Exception, request: Request) -> StatusError:
    """Return the Status that answers an exception. An unexpected one is logged with its stack."""
    match error:
        case StatusError():
            return error
        case StoreFull():
            return InsufficientStorage(f"the object cannot be stored: {error}")
        case Compacted():
            return Gone(f"too old resource version: the oldest one still known is {error.oldest}")
        case FutureRevision():
            return too_large_version(error.current + 1, error.current)
        case StoreClosed():
            return ServiceUnavailable("the server is shutting down", details=StatusDetails(retryAfterSeconds=1))
        case StoreCorrupt():
            log.error("the store is damaged", extra={"error": str(error), "path": request.path})
            return InternalError(f"the store is damaged: {error}")
        case StoreError():
            log.error("the store failed", extra={"error": str(error) or type(error).__name__, "path": request.path})
            return ServiceUnavailable(f"the store is not available: {error or type(error).__name__}")
        case _:
            log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
            return InternalError("Internal error occurred: see the server's log")


def refusal(status: int, reason: str, message: str) -> Response:
    """The answer of the HTTP server to a request that never reaches the chain."""
    body = Status(status="Failure", message=message, reason=reason, code=status)
    return Response(status, {"Content-Type": "application/json"}, msgspec.json.encode(body))
