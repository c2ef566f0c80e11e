"""Minimal netlink for the proxy: messages, attributes, and groups of notifications. No programs, no waiting."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NESTED = 0x8000
TYPE_MASK = 0x3FFF
BUFFER_BYTES = 16 << 20
SO_RCVBUFFORCE = 33
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class Message(NamedTuple):
    """One netlink message."""

    type: int
    port: int
    """Netlink port of the originator: usually the process id of the sender of the request."""
    body: bytes


def connect(protocol: int) -> socket.socket:
    """Return a netlink socket; raises OSError."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    link.bind((0, 0))
    return link


def subscribe(protocol: int, *groups: int) -> socket.socket:
    """Return a non-blocking socket that receives the groups' notifications, with room for those of a large transaction."""
    link = connect(protocol)
    try:
        link.setblocking(False)
        link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        for group in groups:
            link.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    except OSError:
        link.close()
        raise
    return link


def messages(data: bytes) -> Iterator[Message]:
    """Decode the messages in a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, port = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield Message(kind, port, data[at + _HEADER.size : at + length])
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Decode the attributes in a message's body, by type."""
    values: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        values[kind & TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return values


def attribute(kind: int, data: bytes) -> bytes:
    """Encode an attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Encode an attribute that contains attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def exchange(link: socket.socket, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Send a request and yield the bodies of the answers until the kernel says that it is done; raises OSError. Blocks."""
    link.send(_HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body)
    while True:
        for message in messages(link.recv(1 << 18)):
            if message.type == NLMSG_DONE:
                return
            if message.type == NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", message.body)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return
            yield message.body
