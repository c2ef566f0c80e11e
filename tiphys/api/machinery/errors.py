"""Errors as the API speaks them.

    StatusError                      any answer of kind Status with status Failure
    +-- BadRequest          400      the request cannot be understood
    +-- Unauthorized        401      nobody knows who is asking
    +-- Forbidden           403      the caller may not do this
    +-- NotFound            404      no such object or resource
    +-- MethodNotSupported  405
    +-- NotAcceptable       406
    +-- AlreadyExists       409      a create met an object of that name
    +-- Conflict            409      the object changed since it was read, or a precondition failed
    +-- Gone                410      the resource version is too old (reason Expired)
    +-- TooLarge            413
    +-- UnsupportedMediaType 415
    +-- Invalid             422      validation failed; every mistake is a cause with its field
    +-- TooManyRequests     429      carries the seconds to wait
    +-- InternalError       500
    +-- ServiceUnavailable  503
    +-- Timeout             504

`FieldError` is one mistake in one field; `Invalid` gathers them. Messages and reasons follow "Kubernetes API Concepts" and the API
conventions, since clients match on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from tiphys.api.meta.v1.status import Status, StatusCause, StatusDetails

FieldErrorType = Literal[
    "FieldValueNotFound",
    "FieldValueRequired",
    "FieldValueDuplicate",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueForbidden",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "InternalError",
]

_PHRASES: dict[str, str] = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}


OMITTED: Final = msgspec.UNSET
"""Stands for a value that is not to be shown."""


class FieldError(msgspec.Struct, frozen=True):
    """One mistake in one field of an object."""

    type: FieldErrorType
    field: str
    detail: str = ""
    value: Any = None

    def body(self) -> str:
        """The sentence without the field's path, as it stands in a Status cause."""
        phrase = _PHRASES[self.type]
        without = self.type in ("FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError")
        if without or self.value is OMITTED or (self.type == "FieldValueTooMany" and self.value is None):
            text = phrase
        else:
            text = f"{phrase}: {_render(self.value)}"
        return f"{text}: {shortened(self.detail)}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body()}"


MOST_VALUE, MOST_COMPOSED = 8 << 10, 1 << 10
"""Letters of a value in a message, if it is a text and if it is composed: a name or a list as long as a request is not repeated whole in
each error about a part of it."""


def shortened(text: str, most: int = MOST_VALUE) -> str:
    """A text that a message quotes, without the end of a long one."""
    return text if len(text) <= most else f"{text[:most]}..."


def _render(value: Any) -> str:
    if isinstance(value, str):
        return quoted(shortened(value))
    if isinstance(value, list) and len(value) > MOST_COMPOSED:
        value = value[:MOST_COMPOSED]
    return shortened(msgspec.json.encode(value).decode(), MOST_COMPOSED)


def quoted(value: str) -> str:
    """A text in double quotes, its control characters escaped as Go prints them (package strconv, "Quote")."""
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if text.isprintable() else f'"{"".join(char if char.isprintable() else _escaped(char) for char in text)}"'


_ESCAPES: Final = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def _escaped(char: str) -> str:
    code = ord(char)
    width, letter = (2, "x") if code < 0x80 else (4, "u") if code < 0x10000 else (8, "U")
    return _ESCAPES.get(char) or f"\\{letter}{code:0{width}x}"


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """A wrong value. An empty list, map or text of bytes is most often one that was left out, which is null."""
    return FieldError("FieldValueInvalid", field, detail, None if isinstance(value, list | dict | bytes) and not value else value)


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, detail)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, "", value)


def not_found_field(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, "", value)


def not_supported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    choices = ", ".join(f'"{choice}"' for choice in supported)
    return FieldError("FieldValueNotSupported", field, f"supported values: {choices}", value)


def too_long(field: str, limit: int) -> FieldError:
    return FieldError("FieldValueTooLong", field, f"may not be more than {limit} bytes")


def too_many(field: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", field, f"must have at most {limit} {'item' if limit == 1 else 'items'}", actual)


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _subject(resource: str, group: str, name: str) -> str:
    """Return an object as messages name it: `deployments.apps "web"`."""
    return f'{_qualified(resource, group)} "{name}"'


MOST_MESSAGE = 128 << 10
"""Letters of a message: it may quote a uid or a kind that is as long as the request. `Invalid.object` stays below it."""


class StatusError(Exception):
    """A failed request, with the Status that tells the client about it."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"
    warnings: Sequence[str] = ()
    """Warnings about the request from before it failed."""

    def __init__(self, message: str, *, details: StatusDetails | None = None) -> None:
        message = shortened(message, MOST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.details = details

    def status(self) -> Status:
        """The Status object to send."""
        return Status(status="Failure", message=self.message, reason=self.reason, details=self.details, code=self.code)


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"

    @classmethod
    def resource(cls, resource: str, name: str, why: str, *, group: str = "") -> Forbidden:
        """`pods "web-0" is forbidden: <why>`, as admission and authorization say it."""
        subject = _subject(resource, group, name) if name else _qualified(resource, group)
        return cls(f"{subject} is forbidden: {why}", details=StatusDetails(name=name, group=group, kind=resource))


class NotFound(StatusError):
    code, reason = 404, "NotFound"

    @classmethod
    def object(cls, resource: str, name: str, *, group: str = "") -> NotFound:
        """`deployments.apps "web" not found`."""
        return cls(f"{_subject(resource, group, name)} not found", details=StatusDetails(name=name, group=group, kind=resource))

    @classmethod
    def path(cls) -> NotFound:
        """Nothing is served at the path."""
        return cls("the server could not find the requested resource", details=StatusDetails())


class MethodNotSupported(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def object(cls, resource: str, name: str, *, group: str = "") -> AlreadyExists:
        return cls(f"{_subject(resource, group, name)} already exists", details=StatusDetails(name=name, group=group, kind=resource))


class Conflict(StatusError):
    code, reason = 409, "Conflict"

    @classmethod
    def object(cls, resource: str, name: str, why: str, *, group: str = "") -> Conflict:
        """`Operation cannot be fulfilled on pods "web-0": <why>`."""
        return cls(
            f"Operation cannot be fulfilled on {_subject(resource, group, name)}: {why}",
            details=StatusDetails(name=name, group=group, kind=resource),
        )

    @classmethod
    def modified(cls, resource: str, name: str, *, group: str = "") -> Conflict:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        return cls.object(resource, name, why, group=group)


class Gone(StatusError):
    code, reason = 410, "Expired"


class TooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


MOST_ERRORS = 300
MOST_ERROR_TEXT = 64 << 10
"""Letters of all errors of an object: each may quote a value or a list of names as long as the request."""


class Invalid(StatusError):
    code, reason = 422, "Invalid"

    def __init__(self, message: str, *, details: StatusDetails | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message, details=details)
        self.errors = tuple(errors)

    @classmethod
    def object(cls, kind: str, name: str, errors: Sequence[FieldError], *, group: str = "") -> Invalid:
        """`Deployment.apps "web" is invalid: [spec.replicas: Invalid value: ..., ...]`, with a cause for every mistake.

        Equal messages of several mistakes are reported once. Of thousands of mistakes the first `MOST_ERRORS` are reported, and fewer
        when their texts exceed `MOST_ERROR_TEXT`, so that an answer is never much larger than the request was.
        """
        name = shortened(name)
        messages: list[str] = []
        size = 0
        for error in errors[:MOST_ERRORS]:
            messages.append(str(error))
            size += len(messages[-1])
            if size > MOST_ERROR_TEXT:
                break
        more = len(errors) - len(messages)
        errors = errors[: len(messages)]
        if more > 0:
            messages.append(f"and {more} more")
        messages = list(dict.fromkeys(messages))
        listed = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
        causes = [StatusCause(reason=error.type, message=error.body(), field=error.field) for error in errors]
        details = StatusDetails(name=name, group=group, kind=kind, causes=causes)
        return cls(f"{_subject(kind, group, name)} is invalid: {listed}", details=details, errors=errors)


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"

    def __init__(self, message: str, *, retry_after: int = 1, details: StatusDetails | None = None) -> None:
        details = details or StatusDetails()
        details.retryAfterSeconds = retry_after
        super().__init__(message, details=details)


class InternalError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    code, reason = 504, "Timeout"


_BY_REASON: dict[str, type[StatusError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotSupported, NotAcceptable, AlreadyExists, Conflict, Gone, TooLarge,
        UnsupportedMediaType, Invalid, TooManyRequests, InternalError, ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[StatusError]] = {cls.code: cls for cls in reversed(_BY_REASON.values())}


def from_status(status: Status) -> StatusError:
    """The error for a Status received from a server; unknown reasons fall back on the code, then on StatusError."""
    cls = _BY_REASON.get(status.reason) or _BY_CODE.get(status.code, StatusError)
    error = cls.__new__(cls)
    StatusError.__init__(error, status.message, details=status.details)
    if isinstance(error, Invalid):
        error.errors = ()
    return error
