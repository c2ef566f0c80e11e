"""The error of the kubelet's server."""

from __future__ import annotations


class Refusal(Exception):
    """A request that cannot be served: the status and the sentence of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def not_found() -> Refusal:
    """The answer to a path that nobody serves."""
    return Refusal(404, "404 page not found")
