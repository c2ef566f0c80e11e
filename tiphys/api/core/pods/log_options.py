"""Rules of the options in a request's query ("Kubernetes API Concepts": resourceVersion, dry run, field validation; PodLogOptions)."""

from __future__ import annotations

from tiphys.api.core.v1.options import PodLogOptions
from tiphys.api.machinery.errors import FieldError, forbidden, invalid, not_supported

_STREAMS = ("All", "Stderr", "Stdout")


def log_errors(options: PodLogOptions) -> list[FieldError]:
    """Mistakes in the options of a log."""
    errors: list[FieldError] = []
    if options.tailLines is not None and options.tailLines < 0:
        errors.append(invalid("tailLines", options.tailLines, "must be greater than or equal to 0"))
    if options.limitBytes is not None and options.limitBytes < 1:
        errors.append(invalid("limitBytes", options.limitBytes, "must be greater than 0"))
    if options.sinceSeconds is not None and options.sinceTime is not None:
        errors.append(forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif options.sinceSeconds is not None and options.sinceSeconds < 1:
        errors.append(invalid("sinceSeconds", options.sinceSeconds, "must be greater than 0"))
    stream = options.stream if options.stream is not None else "All"
    if stream not in _STREAMS:
        errors.append(not_supported("stream", stream, _STREAMS))
    if stream != "All" and options.tailLines is not None:
        errors.append(forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now"))
    return errors
