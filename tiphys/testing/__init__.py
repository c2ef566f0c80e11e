"""Tools for tests, shipped to users: `eventually` polls a condition with a deadline."""

from tiphys.testing.eventually import eventually

__all__ = ["eventually"]
