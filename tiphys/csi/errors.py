"""Errors of the Container Storage Interface ("Container Storage Interface (CSI)", Error Scheme).

    CsiError                 any answer other than success; has .verb, .code (gRPC code name) and .message
    |-- NotFound             the volume, the snapshot or the node does not exist
    |-- AlreadyExists        the name is taken by a volume that is not compatible with the request
    |-- InvalidArgument      the request itself is wrong: repeating it cannot help
    |-- OutOfRange           the size is not supported
    |-- FailedPrecondition   the volume is in use, or not in the state that the request needs
    |-- Exhausted            no room, or as many volumes as the node takes
    |-- Unimplemented        the driver does not offer the verb
    |-- Unfinished           the request may still be carried out: repeat it until the answer is another one
    |   |-- Pending          the driver works on the volume already (ABORTED)
    |   |-- Unavailable      nobody answers on the socket, or the connection broke
    |   `-- Deadline         no answer in time
    `-- Failed               the driver tried and could not; .message says why

A gRPC error never leaves this package.
"""

from __future__ import annotations


class CsiError(Exception):
    """A request to a driver failed."""

    code = "UNKNOWN"

    def __init__(self, message: str, *, verb: str = "", code: str = "") -> None:
        self.verb = verb
        self.code = code or self.code
        self.message = message
        super().__init__(f"rpc error: code = {_words(self.code)} desc = {message}")


class NotFound(CsiError):
    """The volume, the snapshot or the node does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(CsiError):
    """The name is taken by a volume that is not compatible with the request."""

    code = "ALREADY_EXISTS"


class InvalidArgument(CsiError):
    """The request itself is wrong; the same request cannot succeed later."""

    code = "INVALID_ARGUMENT"


class OutOfRange(CsiError):
    """The size is not supported."""

    code = "OUT_OF_RANGE"


class FailedPrecondition(CsiError):
    """The volume is in use, or not in the state that the request needs."""

    code = "FAILED_PRECONDITION"


class Exhausted(CsiError):
    """There is no room, or the node has as many volumes as it takes."""

    code = "RESOURCE_EXHAUSTED"


class Unimplemented(CsiError):
    """The driver does not offer the verb."""

    code = "UNIMPLEMENTED"


class Unfinished(CsiError):
    """The request may still be carried out, so nothing may be concluded from this answer."""

    code = "CANCELLED"


class Pending(Unfinished):
    """The driver works on the volume already."""

    code = "ABORTED"


class Unavailable(Unfinished):
    """Nobody answers on the socket; the request did not reach the driver or the connection broke under way."""

    code = "UNAVAILABLE"


class Deadline(Unfinished):
    """No answer in time."""

    code = "DEADLINE_EXCEEDED"


class Failed(CsiError):
    """The driver tried and could not."""

    code = "INTERNAL"


_TREE = (
    NotFound, AlreadyExists, InvalidArgument, OutOfRange, FailedPrecondition, Exhausted, Unimplemented, Unfinished, Pending, Unavailable,
    Deadline,
)  # fmt: skip
_BY_CODE: dict[str, type[CsiError]] = {error.code: error for error in _TREE}


def from_code(verb: str, code: str, message: str) -> CsiError:
    """Return the error of this tree for the name of a gRPC status code ("NOT_FOUND")."""
    return _BY_CODE.get(code, Failed)(message, verb=verb, code=code)


def _words(code: str) -> str:
    """Return a code as gRPC for Go spells it in messages, which events and statuses repeat: NotFound for NOT_FOUND."""
    return {"CANCELLED": "Canceled"}.get(code, "".join(part.capitalize() for part in code.split("_")))
