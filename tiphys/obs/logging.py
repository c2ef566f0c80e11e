"""Logging: the message is constant, what varies are fields.

    log = get_logger(__name__)
    log.info("pod evicted", extra={"pod": key, "reason": reason})

`configure` chooses between lines for people (`... pod evicted pod=default/web reason=...`) and JSON lines for machines. Fields that
belong to everything that happens in a task (a reconcile, a request) are set once, with `fields`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

get_logger = logging.getLogger

_context: ContextVar[dict[str, Any] | None] = ContextVar("log_fields", default=None)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LETTERS = {"DEBUG": "D", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "F"}


@contextmanager
def fields(**values: Any) -> Iterator[None]:
    """Add fields to every line logged inside, by tasks started inside as well."""
    token = _context.set({**(_context.get() or {}), **values})
    try:
        yield
    finally:
        _context.reset(token)


def record_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record: those of its context, then its own."""
    own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    return {**(_context.get() or {}), **own}


class TextFormatter(logging.Formatter):
    """`I 2026-01-01T00:00:00.000Z controller: message field=value`; a value with spaces is quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line, followed by the traceback if there is one."""
        parts = [_LETTERS.get(record.levelname, record.levelname), _timestamp(record), f"{record.name}:", record.getMessage()]
        parts += [f"{name}={_readable(value)}" for name, value in record_fields(record).items()]
        return "\n".join([" ".join(parts), *_trace(self, record)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `msg`, the fields, and `trace` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {"ts": _timestamp(record), "level": record.levelname.lower(), "logger": record.name, "msg": record.getMessage()}
        line |= {name: value for name, value in record_fields(record).items() if name not in line}
        trace = _trace(self, record)
        if trace:
            line["trace"] = trace[0]
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, format: Literal["text", "json"] = "text", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything from `level` on to `stream` (standard error by default), replacing what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # aiohttp and asyncio tell about every connection at these levels.
    for noisy in ("asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _readable(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(char in text for char in ' "\n\t=') else text


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    return [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
