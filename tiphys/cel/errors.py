"""Errors of expressions.

CelError
+-- CompilationError   the text is no expression, or one of the wrong type
+-- TooComplex         the worst case costs more than the environment allows
+-- EvaluationError    the values do not suit the expression
"""

from __future__ import annotations


class CelError(Exception):
    """Base of all errors of expressions; the message is for the expression's author."""


class CompilationError(CelError):
    """The text has a mistake of syntax or type."""


class TooComplex(CelError):
    """The expression could cost more than its limit."""


class EvaluationError(CelError):
    """The expression has no value for these variables."""
