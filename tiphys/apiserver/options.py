"""Query parameters of the verbs, checked ("Kubernetes API Concepts": resourceVersion semantics, chunking, dry run, field validation)."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Literal

import msgspec

from tiphys.api.errors import BadRequest, FieldError, Gone, Invalid, Timeout, forbidden, invalid, not_supported
from tiphys.api.meta.v1 import Status, StatusCause, StatusDetails
from tiphys.wire.http import Request

FieldValidation = Literal["Ignore", "Warn", "Strict"]
_VALIDATIONS: dict[str, FieldValidation] = {"": "Warn", "Ignore": "Ignore", "Warn": "Warn", "Strict": "Strict"}
_TRUE = frozenset(("1", "true", "True", "TRUE", "t", "T"))
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_FALSE = frozenset(("", "0", "false", "False", "FALSE", "f", "F"))


def boolean(request: Request, name: str) -> bool:
    """A boolean parameter; raises BadRequest when it is neither."""
    value = request.param(name)
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise BadRequest(f'invalid query parameter {name}="{value[:40]}": use true or false')


def integer(request: Request, name: str) -> int | None:
    """An integer parameter, None when absent; raises BadRequest."""
    value = request.param(name)
    if not value:
        return None
    if not _INTEGER.fullmatch(value):
        raise BadRequest(f'invalid query parameter {name}="{value[:40]}": use a whole number')
    return int(value)


def dry_run(request: Request) -> bool:
    """Whether nothing is to be stored; raises Invalid for anything but `All`."""
    values = [value for key, value in request.query if key == "dryRun"]
    wrong = [value for value in values if value != "All"]
    if wrong:
        error = not_supported("dryRun", wrong[0], ["All"])
        raise Invalid(f"options is invalid: {error}", errors=[error])
    return bool(values)


def field_validation(request: Request) -> FieldValidation:
    """How unknown and duplicate fields are treated; `Warn` unless said otherwise."""
    value = request.param("fieldValidation")
    if value not in _VALIDATIONS:
        error = not_supported("fieldValidation", value, ["Ignore", "Warn", "Strict"])
        raise Invalid(f"options is invalid: {error}", errors=[error])
    return _VALIDATIONS[value]


def resource_version(text: str, name: str = "resourceVersion") -> int | None:
    """A resource version as a number, None for ""; raises BadRequest."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(f'invalid {name} "{text[:40]}": use a version that the server returned')
    return int(text)


LATEST = -1


class Continue(msgspec.Struct, frozen=True):
    """Where a paged list goes on: the snapshot's revision (or `LATEST`) and the last key returned."""

    rv: Annotated[int, msgspec.Meta(ge=LATEST)]
    start: Annotated[str, msgspec.Meta(min_length=1)]

    def token(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Continue:
        """Read a token; raises BadRequest."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise BadRequest("invalid continue token: continue key is not valid: start the list again without it") from None


class ListOptions(msgspec.Struct, frozen=True):
    """The parameters of list, watch and deletecollection."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continue_: Continue | None = None
    resource_version: int | None = None
    match: str = ""
    timeout: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None


_MATCH = "resourceVersionMatch"
_WITH_TOKEN = "resourceVersionMatch is forbidden when continue is provided"


def _list_errors(match: str, rv: int | None, initial: bool | None, token: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if match:
        if rv is None:
            errors.append(forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if token:
            errors.append(forbidden(_MATCH, _WITH_TOKEN))
        if match not in ("Exact", "NotOlderThan"):
            errors.append(not_supported(_MATCH, match, ["Exact", "NotOlderThan", ""]))
        if match == "Exact" and rv == 0:
            errors.append(forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if initial is not None:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_errors(match: str, initial: bool | None, token: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if initial is not None and match != "NotOlderThan":
        errors.append(forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if initial is None:
            errors.append(forbidden(_MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            errors.append(not_supported(_MATCH, match, ["NotOlderThan"]))
        if token:
            errors.append(forbidden(_MATCH, _WITH_TOKEN))
    return errors


def list_options(request: Request, *, watch: bool = False) -> ListOptions:
    """Parse and check; all contradictions are reported at once."""
    if not request.query:
        return ListOptions()
    rv = resource_version(request.param("resourceVersion"))
    match = request.param("resourceVersionMatch")
    token = request.param("continue")
    initial = boolean(request, "sendInitialEvents") if request.param("sendInitialEvents") else None
    timeout = integer(request, "timeoutSeconds")
    limit = integer(request, "limit") or 0
    errors = _watch_errors(match, initial, token) if watch else _list_errors(match, rv, initial, token)
    if limit < 0:
        errors.append(invalid("limit", limit, "must be greater than or equal to 0"))
    if errors:
        raise Invalid.object("ListOptions", "", errors, group="meta.k8s.io")
    if token and rv not in (None, 0):
        raise BadRequest("specifying resource version is not allowed when using continue")
    return ListOptions(
        labels=request.param("labelSelector"),
        fields=request.param("fieldSelector"),
        limit=limit,
        continue_=Continue.parse(token) if token else None,
        resource_version=rv,
        match=match,
        timeout=float(timeout) if timeout else None,
        bookmarks=boolean(request, "allowWatchBookmarks"),
        initial_events=initial,
    )


class ExpiredContinue(Gone):
    """The snapshot behind a continue token is compacted. The answer carries a token for the rest of the newest state."""

    def __init__(self, last: Continue) -> None:
        super().__init__(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the"
            " continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the"
            " provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first"
            " chunk was returned and now may show up in the list."
        )
        self._rest = Continue(LATEST, last.start)

    def status(self) -> Status:
        status = super().status()
        status.metadata.continue_ = self._rest.token()
        return status


def too_large_version(wanted: int, current: int) -> Timeout:
    """A version that does not exist yet, also after waiting: in the words by which clients know to ask again."""
    cause = StatusCause(reason="ResourceVersionTooLarge", message="Too large resource version")
    details = StatusDetails(causes=[cause], retryAfterSeconds=1)
    return Timeout(f"Too large resource version: {wanted}, current: {current}", details=details)
