"""Snapshots of a cluster's state, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tiphys.daemon.settings import ClusterSettings
from tiphys.store.contract import StoreCorrupt, StoreError
from tiphys.store.open import sqlite_path
from tiphys.store.sqlite.snapshot import restore_snapshot, take_snapshot


class SnapshotError(Exception):
    """A snapshot cannot be saved or restored; the message says why and how to fix it."""


def save(settings: ClusterSettings, target: Path) -> int:
    """Copy the state to a file, whether or not the cluster is running; returns its revision. Raises SnapshotError."""
    source = _store_file(settings)
    if not source.exists():
        raise SnapshotError(f"no state in {settings.data_dir} yet: start a cluster with tiphys up")
    return _translate_errors(lambda: take_snapshot(str(source), str(target.absolute())))


def restore(settings: ClusterSettings, source: Path) -> int:
    """Replace the state with a snapshot; returns the revision at which the cluster will start.

    The previous state is kept beside it. Raises SnapshotError, also when the cluster is running.
    """
    return _translate_errors(lambda: restore_snapshot(str(source.absolute()), str(_store_file(settings))))


def _store_file(settings: ClusterSettings) -> Path:
    path = sqlite_path(settings.store_url)
    if path is None:
        raise SnapshotError(f"the store {settings.store_url} has no file on this machine: use the store's own tools")
    return Path(path)


def _translate_errors(work: Callable[[], int]) -> int:
    try:
        return work()
    except StoreCorrupt as error:
        raise SnapshotError(f"{error.detail}; {error.repair}" if error.repair else error.detail) from error
    except StoreError as error:
        raise SnapshotError(str(error)) from error
