"""Options of the verbs, from the query and the body to typed and checked values ("Kubernetes API Concepts").

    list_options(request)            list, watch, deletecollection
    write_options(request, "patch")  create, update, patch
    delete_options(request)          delete, deletecollection: the body, or else the query
    decode_query(PodLogOptions, ..)  subresources that are streams (`subresources.connect`)

All mistakes of one set of options are reported at once, as one Status.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal, cast

import msgspec

from tiphys.api.machinery import codec, durations
from tiphys.api.machinery.cached import cached
from tiphys.api.machinery.errors import BadRequest, FieldError, Gone, Invalid, Timeout
from tiphys.api.machinery.patch import APPLY_PATCH
from tiphys.api.machinery.query import decode_query
from tiphys.api.machinery.yamldoc import Parsed, YAMLError
from tiphys.api.meta.v1 import DeleteOptions, Preconditions, Status, StatusCause, StatusDetails
from tiphys.api.meta.v1 import options as meta
from tiphys.api.meta.v1.options import CreateOptions, PatchOptions, UpdateOptions
from tiphys.api.rules import options as rules
from tiphys.wire.http import Request

FieldValidation = Literal["Ignore", "Warn", "Strict"]
JSON_MEDIA = "application/json"

_DELETE_KINDS = frozenset(("", "DeleteOptions"))
_NONE = CreateOptions()
_WRITES: dict[str, type[CreateOptions]] = {"create": CreateOptions, "update": UpdateOptions, "patch": PatchOptions}


@cached()
def is_apply(content_type: str) -> bool:
    """Return whether a PATCH with this content type is an apply."""
    return content_type.partition(";")[0].strip().lower() == APPLY_PATCH


def write_options(request: Request, verb: str) -> CreateOptions:
    """The options of a create, an update or a patch; raises BadRequest, Invalid. Shared by all requests without any: not to be changed."""
    type_ = _WRITES.get(verb)
    apply = verb == "patch" and is_apply(request.headers.get("content-type", ""))
    if type_ is None or not (request.query or apply):
        return _NONE
    options = decode_query(type_, request.query)
    errors = rules.patch_errors(options, apply=apply) if isinstance(options, PatchOptions) else rules.write_errors(options)
    if errors:
        raise _invalid(type_.__name__, errors)
    return options


def field_validation(options: CreateOptions) -> FieldValidation:
    """The treatment of unknown and repeated fields."""
    validation: FieldValidation = options.fieldValidation or "Warn"  # type: ignore[assignment]  # Checked with the options.
    return validation


def delete_options(request: Request, parsed: Parsed | YAMLError | None = None) -> DeleteOptions:
    """The options from the body (`parsed` if it is YAML), or else from the query; raises BadRequest, Invalid."""
    if request.body:
        media = request.headers.get("content-type", JSON_MEDIA).partition(";")[0].strip() or JSON_MEDIA
        options = codec.decode(DeleteOptions, request.body, content_type=media, parsed=parsed).obj
        if codec.kind_in(request.body, media, parsed) not in _DELETE_KINDS:
            raise BadRequest("decoded object cannot be converted to DeleteOptions")
    else:
        options = decode_query(DeleteOptions, request.query)
        uid, version = request.param("uid"), request.param("resourceVersion")
        if uid or version:
            options.preconditions = Preconditions(uid=uid or None, resourceVersion=version or None)
    check_delete(options)
    return options


def check_delete(options: DeleteOptions) -> None:
    """Raise Invalid for options of a deletion that cannot be."""
    if errors := rules.delete_errors(options):
        raise _invalid("DeleteOptions", errors)


def table_options(request: Request) -> Literal["None", "Metadata", "Object"]:
    """The part of each object beside its cells; raises BadRequest."""
    options = decode_query(meta.TableOptions, request.query)
    if errors := rules.table_errors(options):
        raise BadRequest(f"Unable to convert to Table as requested: {errors[0]}")
    return cast('Literal["None", "Metadata", "Object"]', options.includeObject or "Metadata")


def _invalid(kind: str, errors: list[FieldError]) -> Invalid:
    return Invalid.object(kind, "", errors, group="meta.k8s.io")


# --- deadline

_DURATION_SHOWN = 40


def request_timeout(request: Request) -> float:
    """Seconds after which the client wants an answer (`timeout=5s`), 0 for no limit of its own; raises BadRequest."""
    text = request.param("timeout")
    if not text:
        return 0.0
    try:
        return durations.seconds(text)
    except ValueError:
        shown = msgspec.json.encode(text[:_DURATION_SHOWN]).decode()
        raise BadRequest(f"invalid timeout specified in the request URL - time: invalid duration {shown}") from None


class RequestTimeout(Timeout):
    """A request is not answered within its deadline. What it began is finished all the same."""

    def __init__(self) -> None:
        super().__init__("Timeout: request did not complete within the allotted timeout")


# --- lists


def resource_version(text: str, name: str = "resourceVersion") -> int | None:
    """A resource version as a number, None for ""; raises BadRequest."""
    if not text:
        return None
    number = parse_version(text)
    if number is None:
        raise BadRequest(f'invalid {name} "{text[:40]}": use a version that the server returned')
    return number


def parse_version(text: str) -> int | None:
    """The number in a resourceVersion, None when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


LATEST = -1


class Continue(msgspec.Struct, frozen=True):
    """Position at which a paged list goes on: the snapshot's revision (or `LATEST`) and the last key returned."""

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
    """The options of list, watch and deletecollection, with their values understood."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    """Most objects to return; 0 means all."""
    continue_: Continue | None = None
    resource_version: int | None = None
    match: str = ""
    timeout: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None


_EVERYTHING = ListOptions()


def list_options(request: Request, *, watch: bool = False) -> ListOptions:
    """The options of a list or a watch; raises BadRequest, Invalid."""
    if not request.query:
        return _EVERYTHING
    options = decode_query(meta.ListOptions, request.query)
    if errors := (rules.watch_errors if watch else rules.list_errors)(options):
        raise _invalid("ListOptions", errors)
    rv = resource_version(options.resourceVersion)
    if options.continue_ and rv not in (None, 0):
        raise BadRequest("specifying resource version is not allowed when using continue")
    return ListOptions(
        labels=options.labelSelector,
        fields=options.fieldSelector,
        limit=max(options.limit, 0),
        continue_=Continue.parse(options.continue_) if options.continue_ else None,
        resource_version=rv,
        match=options.resourceVersionMatch,
        timeout=float(options.timeoutSeconds) if options.timeoutSeconds else None,
        bookmarks=options.allowWatchBookmarks,
        initial_events=options.sendInitialEvents,
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


def too_large_version(requested: int, current: int) -> Timeout:
    """A version that does not exist yet, also after waiting: in the words by which clients know to ask again."""
    cause = StatusCause(reason="ResourceVersionTooLarge", message="Too large resource version")
    details = StatusDetails(causes=[cause], retryAfterSeconds=1)
    return Timeout(f"Too large resource version: {requested}, current: {current}", details=details)
