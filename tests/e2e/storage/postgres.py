"""A client of PostgreSQL: one connection, simple queries, SCRAM-SHA-256 (PostgreSQL: Frontend/Backend Protocol; RFC 5802).

It says when a commit is acknowledged, which is all that the tests are about, and needs nothing to be installed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from types import TracebackType

PROTOCOL = 3 << 16
SASL, SASL_CONTINUE = 10, 11
TIMEOUT = 3.0
"""Seconds that the server may take for an answer before the connection counts as lost."""


class DatabaseError(Exception):
    """The server answers with an error."""


class Connection:
    """A connection as the user postgres. Raises OSError when it is lost, DatabaseError for an error of the server."""

    def __init__(self, host: str, password: str) -> None:
        self._socket = socket.create_connection((host, 5432), timeout=TIMEOUT)
        self._stream = self._socket.makefile("rb")
        try:
            body = struct.pack("!I", PROTOCOL) + b"user\0postgres\0database\0postgres\0\0"
            self._socket.sendall(struct.pack("!I", len(body) + 4) + body)
            self._log_in(password)
            self._rows()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; the server hears of it by that."""
        self._stream.close()
        self._socket.close()

    def query(self, sql: str) -> list[list[str]]:
        """Run one statement, in a transaction of its own; returns when the server has acknowledged it."""
        self._send(b"Q", sql.encode() + b"\0")
        return self._rows()

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def _receive(self) -> tuple[bytes, bytes]:
        """Return the next message; an error of the server is raised."""
        head = self._read(5)
        kind, length = head[:1], int.from_bytes(head[1:])
        body = self._read(length - 4)
        if kind == b"E":
            fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
            raise DatabaseError(f"{fields[b'C']}: {fields[b'M']}")
        return kind, body

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise ConnectionResetError("the server closed the connection")
        return data

    def _rows(self) -> list[list[str]]:
        rows = []
        while True:
            kind, body = self._receive()
            if kind == b"D":
                rows.append(_values(body))
            elif kind == b"Z":
                return rows

    def _log_in(self, password: str) -> None:
        nonce = secrets.token_hex(12)
        first = f"n=,r={nonce}"
        self._expect(SASL)
        initial = f"n,,{first}".encode()
        self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(initial)) + initial)
        challenge = self._expect(SASL_CONTINUE).decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        last = f"c=biws,r={values['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), f"{first},{challenge},{last}".encode(), "sha256")
        proof = bytes(left ^ right for left, right in zip(key, signature, strict=True))
        self._send(b"p", f"{last},p={base64.b64encode(proof).decode()}".encode())

    def _expect(self, step: int) -> bytes:
        kind, body = self._receive()
        if kind != b"R" or int.from_bytes(body[:4]) != step:
            raise DatabaseError(f"unexpected answer to the login: {kind!r} {body!r}")
        return body[4:]


def _values(body: bytes) -> list[str]:
    """Return the columns of a row, of which none is NULL."""
    values, place = [], 2
    for _ in range(int.from_bytes(body[:2])):
        length = int.from_bytes(body[place : place + 4])
        values.append(body[place + 4 : place + 4 + length].decode())
        place += 4 + length
    return values
