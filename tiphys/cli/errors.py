"""Failures as the command line reports them: one sentence with the fix, never a traceback."""

from __future__ import annotations

EX_CONFIG = 78
"""Exit code for failures that a restart cannot fix; the keeper does not restart after it (sysexits.h)."""


class Failure(Exception):
    """Failure that the user can fix; the message names the problem and the fix."""

    def __init__(self, message: str, *, code: int = EX_CONFIG) -> None:
        super().__init__(message)
        self.code = code
