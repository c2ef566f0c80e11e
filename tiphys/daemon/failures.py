"""Explanations of failures at the start of a daemon, each as one sentence with its fix."""

from __future__ import annotations

import errno

from tiphys.daemon.pki import PkiError
from tiphys.daemon.settings import SettingsError
from tiphys.node.runtime.containerd import ContainerdError
from tiphys.runtime.leader import LeadershipLost
from tiphys.sidecar.registration import RegistrationFailed
from tiphys.store.contract import StoreCorrupt, StoreError, StoreFailed, StoreFull


def is_lasting(error: BaseException) -> bool:
    """Return whether another start would fail in the same way until somebody fixes the cause."""
    return not isinstance(error, StoreFailed | LeadershipLost | RegistrationFailed)


def explain(error: BaseException, *, address: str = "", option: str = "") -> str | None:
    """Return the sentence for an error that users can fix, or None for a bug that deserves its traceback."""
    if isinstance(error, StoreCorrupt):
        return f"{error.detail}; {error.repair}" if error.repair else error.detail
    if isinstance(error, StoreFull):
        return f"{error}: free some disk space and start again"
    if isinstance(error, LeadershipLost):
        return f"the lease {error} could not be renewed in time, so another process may lead now"
    if isinstance(error, PkiError | SettingsError | ContainerdError | StoreError | RegistrationFailed):
        return str(error)
    if isinstance(error, OSError):
        if error.errno == errno.EADDRINUSE:
            return f"{address or 'the address'} is in use: stop the program that holds it, or choose another port with {option}"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{address} is not an address of this machine: choose another with --bind"
        if error.errno == errno.ENOSPC:
            return f"the disk is full ({error.filename or 'no space left'}): free some space and start again"
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"permission denied ({error.filename or error}): run as root, or choose your own directory with --data-dir"
        if error.errno == errno.EROFS:
            return f"{error.filename or 'the file system'} is read-only: choose another directory with --data-dir"
    return None
