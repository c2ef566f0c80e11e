"""HTTP requests of probes and hooks: the request's bytes, and where a redirect leads. Pure but for `fetch`.

See "Configure Liveness, Readiness and Startup Probes" (HTTP probes) for the headers that are sent without being listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import msgspec

from tiphys.api.core import v1 as core

OUTPUT = 10 * 1024
MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_SENT = ("Content-Length", "Host", "Trailer", "Transfer-Encoding", "User-Agent")
"""Headers that the client writes by itself or that a request without a body cannot have."""


class Reply(msgspec.Struct, frozen=True):
    """An answer: its status, where it redirects to ("" for nowhere), and the beginning of its body."""

    status: int
    location: str
    body: str


def target(scheme: str, host: str, port: int, path: str) -> str:
    """The URL of a check: of `path` only the path and the query count, and what a URL cannot hold is escaped."""
    shown = f"[{host}]" if ":" in host else host
    try:
        parts = urlsplit(path)
        path, query = parts.path, parts.query
    except ValueError:
        query = ""
    path = path if path.startswith("/") else f"/{path}"
    return urlunsplit((scheme, f"{shown}:{port}", quote(path, safe="/%:@!$&'()*+,;=~"), query, ""))


def request_bytes(url: str, headers: Iterable[core.HTTPHeader], user_agent: str) -> bytes:
    """A GET request. Headers of one name are as many lines; Host and User-Agent are the first of theirs, an empty Accept leaves it out."""
    values: dict[str, list[str]] = {}
    for header in headers:
        values.setdefault(_canonical(header.name), []).append(_one_line(header.value))
    values.setdefault("User-Agent", [user_agent])
    values.setdefault("Accept", ["*/*"])
    if not values["Accept"][0]:
        del values["Accept"]
    parts = urlsplit(url)
    lines = [f"GET {urlunsplit(('', '', parts.path or '/', parts.query, ''))} HTTP/1.1"]
    lines.append(f"Host: {values.get('Host', [''])[0] or parts.netloc}")
    if values["User-Agent"][0]:
        lines.append(f"User-Agent: {values['User-Agent'][0]}")
    lines += [f"{name}: {value}" for name in sorted(values) if name not in _NOT_SENT for value in values[name]]
    if "close" not in (value.lower() for value in values.get("Connection", ())):
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def redirect(url: str, reply: Reply) -> str:
    """The URL on the same host that an answer leads to, "" when it leads nowhere or to another host."""
    if reply.status not in _REDIRECTS or not reply.location:
        return ""
    try:
        next_url = urljoin(url, reply.location)
        parts = urlsplit(next_url)
        same = parts.hostname == urlsplit(url).hostname and parts.scheme in ("http", "https")
    except ValueError:
        return ""
    return next_url if same else ""


async def fetch(url: str, headers: Iterable[core.HTTPHeader], user_agent: str) -> Reply:
    """The answer after all redirects on the same host. Raises OSError, and ValueError for an answer that is not HTTP."""
    headers = list(headers)
    for _ in range(MAX_REDIRECTS):
        reply = await _once(url, request_bytes(url, headers, user_agent))
        following = redirect(url, reply)
        if not following:
            return reply
        if urlsplit(reply.location).netloc:
            headers = [header for header in headers if _canonical(header.name) != "Host"]
        url = following
    raise ValueError(f"stopped after {MAX_REDIRECTS} redirects")


async def _once(url: str, request: bytes) -> Reply:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    context = None
    if tls:
        # Probes say whether somebody answers, not who: certificates are not checked, as documented.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if tls else 80), ssl=context)
    try:
        writer.write(request)
        await writer.drain()
        line = (await reader.readline()).split(None, 2)
        if len(line) < 2 or not line[0].startswith(b"HTTP/"):
            raise ValueError("malformed HTTP response")
        location = ""
        while header := (await reader.readline()).strip():
            name, _, value = header.partition(b":")
            if name.strip().lower() == b"location" and not location:
                location = value.strip().decode("utf-8", "replace")
        return Reply(int(line[1]), location, (await reader.read(OUTPUT)).decode("utf-8", "replace"))
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def _canonical(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ").strip()
