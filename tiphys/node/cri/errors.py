"""Errors of requests to the container runtime.

    RuntimeError_            any answer that is not success; has .verb, .code (gRPC code name) and .message
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


class RuntimeError_(Exception):
    """The container runtime did not do what was asked."""

    def __init__(self, verb: str, code: str, message: str) -> None:
        super().__init__(f"{verb}: {message}" if message else f"{verb}: {code}")
        self.verb = verb
        self.code = code
        self.message = message


class NotFound(RuntimeError_):
    """The sandbox, container or image does not exist."""


class AlreadyExists(RuntimeError_):
    """The name is reserved by another sandbox or container, perhaps one whose creation is still under way."""


class InvalidArgument(RuntimeError_):
    """The request itself is wrong; the same request cannot succeed later."""


class Unimplemented(RuntimeError_):
    """This version of the runtime does not offer the verb."""


class Unavailable(RuntimeError_):
    """Nobody answers on the socket; the request did not reach the runtime or the connection broke under way."""


class Deadline(RuntimeError_):
    """No answer in time. Whether the request was carried out is unknown, so look before asking again."""


class Failed(RuntimeError_):
    """The runtime tried and could not."""


_BY_CODE: dict[str, type[RuntimeError_]] = {
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "INVALID_ARGUMENT": InvalidArgument,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": Unimplemented,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": Deadline,
}


def from_code(verb: str, code: str, message: str) -> RuntimeError_:
    """The error of our tree for a gRPC status code, given by name ("NOT_FOUND")."""
    return _BY_CODE.get(code, Failed)(verb, code, message)
