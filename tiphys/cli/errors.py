"""Failures as the command line tells them: one sentence and the fix, never a traceback."""

from __future__ import annotations

EX_CONFIG = 78
"""Exit code for what a restart does not mend; the keeper does not try again after it (sysexits.h)."""


class Failure(Exception):
    """Something the user can mend; the text is the sentence and the fix."""

    def __init__(self, message: str, *, code: int = EX_CONFIG) -> None:
        super().__init__(message)
        self.code = code
