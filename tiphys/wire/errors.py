"""The one error that every codec here raises about a peer's data."""

from __future__ import annotations


class ProtocolError(Exception):
    """The peer broke the protocol: the connection cannot be understood any further and must be closed.

    Codecs raise nothing else for bytes that came from outside, however broken they are.
    """
