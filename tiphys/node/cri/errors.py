"""Errors of the container runtime interface (CRI).

    CriError                 any answer other than success; has .verb, .code (gRPC code name) and .message
    |-- NotFound             the sandbox, container or image does not exist
    |-- AlreadyExists        the name is reserved by another sandbox or container
    |-- InvalidArgument      the request itself is wrong: repeating it cannot help
    |-- Unimplemented        this runtime does not know the verb
    |-- Unavailable          nobody answers on the socket: starting, restarting or dead
    |-- Deadline             no answer in time, or a command inside the container ran out of time
    `-- Failed               the runtime tried and could not; .message says why

A gRPC error never leaves this package.
"""

from __future__ import annotations


class CriError(Exception):
    """A request to the container runtime failed."""

    def __init__(self, verb: str, code: str, message: str) -> None:
        super().__init__(f"{verb}: {message}" if message else f"{verb}: {code}")
        self.verb = verb
        self.code = code
        self.message = message


class NotFound(CriError):
    """The sandbox, container or image does not exist."""


class AlreadyExists(CriError):
    """The name is reserved by another sandbox or container, perhaps one whose creation is still under way."""


class InvalidArgument(CriError):
    """The request itself is wrong; the same request cannot succeed later."""


class Unimplemented(CriError):
    """This version of the runtime does not offer the verb."""


class Unavailable(CriError):
    """Nobody answers on the socket; the request did not reach the runtime or the connection broke under way."""


class Deadline(CriError):
    """No answer in time. Whether the request was carried out is unknown, so look before asking again."""


class Failed(CriError):
    """The runtime tried and could not."""


_BY_CODE: dict[str, type[CriError]] = {
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "INVALID_ARGUMENT": InvalidArgument,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": Unimplemented,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": Deadline,
}


def from_code(verb: str, code: str, message: str) -> CriError:
    """The error of our tree for a gRPC status code, given by name ("NOT_FOUND")."""
    return _BY_CODE.get(code, Failed)(verb, code, message)
