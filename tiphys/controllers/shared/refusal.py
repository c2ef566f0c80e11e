"""Classification of the server's refusals. Pure."""

from __future__ import annotations

from tiphys.api.machinery.errors import StatusError


def namespace_ends(error: BaseException) -> bool:
    """Return whether a creation failed because its namespace is terminating: retries cannot help, and nobody needs an event."""
    details = error.details if isinstance(error, StatusError) else None
    return details is not None and any(cause.reason == "NamespaceTerminating" for cause in details.causes)
