"""Active namespaces, and the handling of writes into terminating ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound, StatusError
from tiphys.controllers.shared.refusal import namespace_ends


def is_active(namespace: core.Namespace) -> bool:
    """Return whether objects may be created in a namespace."""
    return namespace.metadata.deletionTimestamp is None and namespace.status.phase != "Terminating"


@contextmanager
def skip_ended(*others: type[StatusError]) -> Iterator[None]:
    """Suppress the refusal of a write because the namespace (or the object) is gone or terminating, and errors of the given types."""
    try:
        yield
    except StatusError as error:
        if not isinstance(error, (NotFound, *others)) and not namespace_ends(error):
            raise
