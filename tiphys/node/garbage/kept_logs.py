"""Logs of pods that were deleted or replaced, which stay readable for a while within a budget of the disk (`tiphys logs --deleted`).

    <logs>/.deleted/<namespace>_<pod>_<uid>_<time>/<container>/<restart>.log

A pod's directory is renamed when the pod leaves the node, so nothing is copied. Programs that follow the logs of pods do not look there.
All of this is blocking: meant for a thread.
"""

from __future__ import annotations

import gzip
import logging
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tiphys.api.machinery import quantity
from tiphys.node.container.logs import LogFormatter, LogOptions, compress, rotated
from tiphys.node.garbage.disk import Progress
from tiphys.node.garbage.kept_plan import KeptFile, KeptPod, surplus
from tiphys.node.settings import NodeSettings

log = logging.getLogger(__name__)

FOLDER = ".deleted"
_TIME = "%Y%m%dT%H%M%SZ"


class KeptLog(msgspec.Struct, frozen=True):
    """Log of one run of a container of a deleted pod."""

    namespace: str
    pod: str
    uid: str
    container: str
    restart: int
    deleted: datetime
    size: int
    path: Path
    """File that was written last; rotated ones lie beside it. It may be compressed or absent."""


def put_away(settings: NodeSettings, directory: Path, now: datetime) -> None:
    """Move the log directory of a pod that is gone to those of deleted pods; without logs, or if none are kept, it is removed."""
    if quantity.whole(settings.kept_log_max_size) > 0 and settings.kept_log_max_age > 0 and _has_logs(directory):
        folder = settings.logs / FOLDER
        try:
            folder.mkdir(mode=0o750, exist_ok=True)
            directory.rename(folder / f"{directory.name}_{now.astimezone(UTC):{_TIME}}")
        except OSError as error:
            log.warning("logs of a deleted pod not kept", extra={"path": str(directory), "error": str(error)})
    shutil.rmtree(directory, ignore_errors=True)


def _has_logs(directory: Path) -> bool:
    return any(_size(path) for path in directory.glob("*/*.log*"))


def tidy(settings: NodeSettings, now: datetime) -> None:
    """Compress what was kept since the last time, and remove what is too old or too much."""
    logs = settings.logs
    for file in _files(logs):
        if file.suffix not in (".gz", ".tmp"):
            _compress(file)
    budget = quantity.whole(settings.kept_log_max_size)
    plan = surplus(_pods(logs), max_age=settings.kept_log_max_age, max_bytes=budget, now=now.timestamp())
    for path in plan.pods:
        shutil.rmtree(path, ignore_errors=True)
    for path in plan.files:
        _unlink(Path(path))


def reclaim(logs: Path, progress: Progress) -> int:
    """Remove logs of deleted pods, oldest first, until there is enough room; returns the number of pods. Raises OSError."""
    count = 0
    for pod in sorted(_pods(logs), key=lambda pod: (pod.deleted, pod.path)):
        if progress.is_enough():
            break
        shutil.rmtree(pod.path, ignore_errors=True)
        progress.count(sum(file.size for file in pod.files))
        count += 1
    return count


def reclaim_rotated(logs: Path, progress: Progress) -> int:
    """Remove compressed logs of pods that are there, oldest first, until there is enough room; returns their number. Raises OSError."""
    count = 0
    for path in sorted(logs.glob("*_*_*/*/*.log.*.gz"), key=lambda path: (_modified(path), path)):
        if progress.is_enough():
            break
        progress.count(_size(path))
        _unlink(path)
        count += 1
    return count


def kept_logs(logs: Path) -> list[KeptLog]:
    """Return the logs of deleted pods, the newest first. Raises OSError where they may not be read."""
    result: dict[tuple[str, str], KeptLog] = {}
    for file in _files(logs):
        identity = _identity(file.parent.parent.name)
        number, _, rest = file.name.partition(".")
        if identity is None or not number.isdigit() or not rest.startswith("log"):
            continue
        namespace, pod, uid, deleted = identity
        key = str(file.parent), number
        size = _size(file) + (result[key].size if key in result else 0)
        path = file.with_name(f"{number}.log")
        result[key] = KeptLog(namespace, pod, uid, file.parent.name, int(number), deleted, size, path)
    order = sorted(result.values(), key=lambda one: (one.namespace, one.pod, one.container, one.restart))
    return sorted(order, key=lambda one: one.deleted, reverse=True)


def read(kept: KeptLog, options: LogOptions) -> Iterator[bytes]:
    """Yield the text of a log, rotated files first. Raises OSError."""
    text = _text([*rotated(kept.path), *([kept.path] if kept.path.exists() else [])], options)
    if options.tail is None:
        yield from text
        return
    lines: deque[bytes] = deque(maxlen=options.tail)
    part = b""
    for piece in text:
        part += piece
        if part.endswith(b"\n"):
            lines.append(part)
            part = b""
    if part:
        lines.append(part)
    yield from lines


def _text(files: Iterable[Path], options: LogOptions) -> Iterator[bytes]:
    formatter = LogFormatter(options)
    for file in files:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            for line in lines:
                yield formatter.feed(line)


def _pods(logs: Path) -> list[KeptPod]:
    pods = []
    for directory in _directories(logs):
        identity = _identity(directory.name)
        files = tuple(KeptFile(str(path), _size(path), _modified(path)) for path in directory.glob("*/*") if path.is_file())
        pods.append(KeptPod(str(directory), identity[3].timestamp() if identity is not None else 0.0, files))
    return pods


def _directories(logs: Path) -> list[Path]:
    folder = logs / FOLDER
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _files(logs: Path) -> list[Path]:
    return [path for directory in _directories(logs) for path in sorted(directory.glob("*/*.log*")) if path.is_file()]


def _identity(name: str) -> tuple[str, str, str, datetime] | None:
    """Return namespace, name and uid of a pod and the time of its end; None for a directory of another name."""
    parts = name.split("_")
    try:
        return parts[0], parts[1], parts[2], datetime.strptime(parts[3], _TIME).replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return None


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("log not removed", extra={"path": str(path), "error": str(error)})


def _compress(path: Path) -> None:
    try:
        compress(path)
    except OSError as error:
        log.warning("log not compressed", extra={"path": str(path), "error": str(error)})
