"""One HTTP/1.1 connection over TLS, with all that web frameworks hide: the client's certificate, and the raw connection after an upgrade.

llhttp (httptools) parses; this module keeps the limits (header size, body size, idle and slow clients), answers one request at a time in
order, writes whole or chunked responses under back-pressure, and hands over upgraded connections.

A request is begun in the callback that received it. Most reads never wait for anything, so their answer is written in the same callback;
only a handler that does wait is made a task.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, NamedTuple, cast

import httptools

from tiphys.aio.clock import monotonic
from tiphys.aio.duplex import take_over
from tiphys.http.backlog import Unread
from tiphys.http.head import header_name, parse_query, response_head
from tiphys.http.pool import Pool
from tiphys.wire.http import REPEATED, Request, Response

log = logging.getLogger(__name__)

LINGER_SECONDS = 0.5
"""After a refusal the client may still be sending: closing at once would make its system throw the answer away."""
JOIN_BELOW = 64 << 10
PIECE = 512 << 10
"""Larger bodies go out in pieces, each when the one before is on its way: encrypted whole, a list would be in memory for each reader."""
SLOW_SECONDS = 0.25
"""From the first time that an answer waits for its reader: after this it counts as sent, so that slow readers keep no seats."""
WRITE_HIGH = 64 << 10
"""Unsent bytes at which a connection waits for its reader. TLS transports would take 512 KB by default, in clear and encrypted."""


_NOTHING_PENDING = (0, 0, None)


class _Queued(NamedTuple):
    """A request whose turn has not come, or (`refusal`) the answer to one that was not worth reading to its end."""

    request: Request
    keep_alive: bool
    refusal: Response | None = None


@types.coroutine
def _resumed(begun: Coroutine[Any, Any, Response], waiting: Any) -> Generator[Any, Any, Response]:
    """Wait for a coroutine that was run up to its first wait, as if it had been awaited from the beginning."""
    while True:
        try:
            yield waiting
        except BaseException as error:  # A cancellation belongs to the coroutine.
            try:
                waiting = begun.throw(error)
            except StopIteration as done:
                return cast(Response, done.value)
        else:
            response: Response = yield from begun
            return response


class Connection(asyncio.Protocol):
    """One client connection: parses, queues, answers in order."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._limits = pool.limits
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._stream: AsyncIterator[bytes] | None = None
        self._body_left = self._body_id = 0
        self._resume: asyncio.Future[None] | None = None
        self._sent: Callable[[], None] | None = None
        self._handed_over = False
        self._upgrading = False
        self._leftover = b""
        self._refused = False
        self._owes_continue = False
        self._paused_reading = False
        self._at_once = 0
        self._active_at = monotonic()
        self._stalled_at = 0.0
        self._begun_at = 0.0
        self._reading_body = False
        self._answering: Request | None = None
        self._answering_since = 0.0
        self._begin()

    # --- transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        self._peer = self._pool.identify(transport)
        self._joint = REPEATED if self._peer.proxy_name else ","
        if not self._pool.admit(self):
            self._refused = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        self.resume_writing()
        self._body_left = 0
        # Only streams end with their reader. Anything else is finished: a write whose caller went may be half done.
        if self._task is not None and self._streaming:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._resume = self._pool.loop.create_future()
        self._stalled_at = monotonic()
        if self._pool.backlog.begin(self, self._body_left):
            self._pool.check_backlog_soon()
        if self._sent is not None:
            self._pool.loop.call_later(SLOW_SECONDS, self._sent)
            self._sent = None

    def resume_writing(self) -> None:
        if self._resume is not None and not self._resume.done():
            self._resume.set_result(None)
        self._resume = None
        self._pool.backlog.end(self)

    def unread(self, now: float) -> Unread:
        """Return the bytes held while its reader does not keep up: those written, and those that wait to be."""
        written = self._transport.get_write_buffer_size() + WRITE_HIGH  # The latter are the bytes in the socket below TLS.
        stalled = now - self._stalled_at
        if self._body_left:
            return Unread(written, self._body_left, self._body_id, stalled)
        own, shared, source = getattr(self._stream, "pending", _NOTHING_PENDING)
        return Unread(written + own, shared, source, stalled)

    async def _write(self, data: bytes | memoryview) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        self._transport.write(data)
        if self._resume is not None:
            await self._resume

    def data_received(self, data: bytes) -> None:
        if self._upgrading:
            self._leftover += data
            if len(self._leftover) > self._limits.body_bytes:
                self._transport.pause_reading()
            return
        if self._refused:
            return
        self._active_at = monotonic()
        self._at_once = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            self._leftover = data[upgrade.args[0] :]
        except (httptools.HttpParserError, ValueError):
            self._refuse(400, "BadRequest", "the request is not valid HTTP/1.1")

    # --- parser callbacks ---

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        self._begun_at = self._active_at
        self._reading_body = False

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._limits.target_bytes:
            self._refuse(414, "RequestURITooLong", f"the URL is longer than {self._limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._limits.header_bytes:
            self._refuse(431, "BadRequest", f"the request headers are larger than {self._limits.header_bytes} bytes")
            return
        key = header_name(name)
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}{self._joint}{text}"

    def on_headers_complete(self) -> None:
        self._reading_body = True
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._limits.body_bytes:
            self._too_large()
        elif "expect" in self._headers and self._headers["expect"].lower() == "100-continue":
            if self._task is None:
                self._say_continue()
            else:
                self._owes_continue = True

    def _say_continue(self) -> None:
        self._owes_continue = False
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._too_large()
        else:
            self._body.append(body)

    def _too_large(self) -> None:
        self._refuse(413, "RequestEntityTooLarge", f"Request entity too large: limit is {self._limits.body_bytes}")

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._begun_at = 0.0
        self._owes_continue = False
        path, _, query = self._target.partition(b"?")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(
            method=self._parser.get_method().decode(),
            path=path.decode("latin-1"),
            query=parse_query(query) if query else (),
            headers=self._headers,
            body=body,
            peer=self._peer,
            connection=self,
        )
        # A reader that speaks HTTP/1.0 does not know chunks: its connection ends with the answer.
        keep_alive = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        self._begin()
        if self._task is None and self._resume is None and not self._parser.should_upgrade() and self._at_once < self._limits.at_once:
            self._at_once += 1
            self._answer_at_once(request, keep_alive)
            return
        self._queue.append(_Queued(request, keep_alive))
        self._queued_bytes += len(body)
        if self._task is None:
            self._run(self._serve())
        elif not self._paused_reading and self._is_crowded(self._limits.pipelined):
            self._paused_reading = True
            self._transport.pause_reading()

    def _is_crowded(self, requests: int) -> bool:
        """Return whether more than so many requests, or bytes of bodies, wait for their turn."""
        return len(self._queue) > requests or self._queued_bytes > self._limits.pipelined_bytes

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer a request that is not worth reading to its end, and close."""
        if not self._refused:
            self._refused = True
            self._queue.append(_Queued(Request("GET", ""), False, self._pool.refuse(status, reason, message)))
            if self._task is None:
                self._run(self._serve())

    # --- answering ---

    def _run(self, serving: Coroutine[Any, Any, None]) -> None:
        self._task = self._pool.spawn(serving)

    def _answer_at_once(self, request: Request, keep_alive: bool) -> None:
        """Begin a request here; one that has to wait continues in a task."""
        begun = self._pool.handler(request)
        try:
            waiting = begun.send(None)
        except StopIteration as done:
            response: Response = done.value
            keep_alive = keep_alive and not self._pool.draining
            if keep_alive and response.stream is None and response.upgrade is None and len(response.body) <= PIECE:
                if not self._transport.is_closing():
                    self._send_whole(request, response, keep_alive)
            else:
                self._run(self._serve(response=response, request=request, keep_alive=keep_alive))
        except Exception as error:
            self._answering = request
            self._fail(error)
        else:
            self._run(self._serve(_resumed(begun, waiting), request=request, keep_alive=keep_alive))

    async def _serve(
        self,
        handling: Any = None,
        *,
        response: Response | None = None,
        request: Request | None = None,
        keep_alive: bool = False,
    ) -> None:
        """Answer a request that was begun already, if there is one, then those in the queue."""
        try:
            if self._resume is not None:
                await self._resume
            if request is not None:
                self._note(request)
                answer = response if response is not None else await handling
                if not await self._respond(request, answer, keep_alive):
                    return
            while self._queue:
                queued = self._queue.popleft()
                self._queued_bytes -= len(queued.request.body)
                self._note(queued.request)
                answer = queued.refusal or await self._pool.handler(queued.request)
                if not await self._respond(queued.request, answer, queued.keep_alive):
                    return
                if self._paused_reading and not self._is_crowded(self._limits.pipelined // 2):
                    self._paused_reading = False
                    self._transport.resume_reading()
            if self._owes_continue:
                self._say_continue()
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        except Exception as error:
            self._fail(error)
        finally:
            self._task = None
            self._answering = None
            self._active_at = monotonic()

    def _fail(self, error: Exception) -> None:
        """End a connection that failed, or whose handler did; in the latter case the client gets an error."""
        request, self._answering = self._answering, None
        if request is not None:
            log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
            if not self._transport.is_closing():
                response = self._pool.refuse(500, "InternalError", "Internal error occurred: see the server's log")
                self._send_whole(request, response, keep_alive=False)
                self._transport.close()
            return
        if not isinstance(error, ConnectionError):
            log.error("connection failed", exc_info=error, extra={"peer": self._peer.address})
        self._transport.abort()

    async def _respond(self, request: Request, response: Response, keep_alive: bool) -> bool:
        """Send one response; returns whether the connection goes on."""
        self._answering = None
        if response.sent is None:
            return await self._send(request, response, keep_alive)
        self._sent = response.sent
        try:
            return await self._send(request, response, keep_alive)
        finally:
            self._sent = None
            response.sent()

    async def _send(self, request: Request, response: Response, keep_alive: bool) -> bool:
        if response.upgrade is not None:
            await self._hand_over(response)
            return False
        keep_alive = keep_alive and not self._pool.draining and not self._upgrading
        if response.stream is not None:
            await self._send_stream(request, response, response.stream, keep_alive)
        else:
            if self._transport.is_closing():
                raise ConnectionResetError("the client closed the connection")
            await self._send_in_pieces(request, response, keep_alive)
        if not keep_alive:
            if self._refused:
                self._pool.loop.call_later(LINGER_SECONDS, self._transport.close)
            else:
                self._transport.close()
        return keep_alive

    def _send_whole(self, request: Request, response: Response, keep_alive: bool) -> None:
        head = response_head(response, close=not keep_alive)
        body = response.body
        length = len(body)
        if request.method == "HEAD":
            body = b""
        if len(body) < JOIN_BELOW:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, length, body))
        else:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n" % (head, length))
            self._transport.write(body)

    async def _send_in_pieces(self, request: Request, response: Response, keep_alive: bool) -> None:
        if len(response.body) <= PIECE or request.method == "HEAD":
            self._send_whole(request, response, keep_alive)
            if self._resume is not None:
                await self._resume
            return
        await self._write(b"%bContent-Length: %d\r\n\r\n" % (response_head(response, close=not keep_alive), len(response.body)))
        body = memoryview(response.body)
        self._body_id = id(response.body)
        try:
            for at in range(0, len(body), PIECE):
                piece = body[at : at + PIECE]
                await self._pool.answer_turns.take(len(piece), first=at > 0)
                self._body_left = len(body)
                await self._write(piece)
        finally:
            self._body_left = 0

    async def _send_stream(self, request: Request, response: Response, stream: AsyncIterator[bytes], keep_alive: bool) -> None:
        self._streaming, self._stream = True, stream
        chunked = self._parser.get_http_version() != "1.0"
        try:
            head = response_head(response, close=not keep_alive)
            await self._write(head + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"))
            if request.method == "HEAD":
                return
            async for part in stream:
                if part:
                    await self._pool.stream_turns.take(len(part))
                    await self._write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            if chunked:
                await self._write(b"0\r\n\r\n")
        finally:
            self._streaming, self._stream = False, None
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _hand_over(self, response: Response) -> None:
        assert response.upgrade is not None
        self._handed_over = True
        duplex = take_over(self._transport, unread=self._leftover)
        try:
            await response.upgrade(duplex)
        finally:
            duplex.close()
            self._pool.forget(self)

    # --- limits ---

    def sweep(self, now: float) -> None:
        """Cut a connection that is idle, that takes too long to send a request, or that does not read its answers."""
        limits = self._limits
        if self._handed_over:
            return
        if self._resume is not None and now - self._stalled_at > limits.stall_seconds:
            self._transport.abort()
        elif self._task is not None:
            answering = self._answering
            if answering is not None and now - self._answering_since > limits.response_seconds and not self._pool.is_long(answering):
                self._expire()
        elif self._begun_at and now - self._begun_at > (limits.request_seconds if self._reading_body else limits.head_seconds):
            self._refuse(408, "Timeout", "the request took too long to arrive")
        elif now - self._active_at > limits.idle_seconds:
            self._transport.abort()

    def _note(self, request: Request) -> None:
        """A request that is not answered at once: the sweeper looks after it."""
        self._answering, self._answering_since = request, monotonic()

    def _expire(self) -> None:
        """Tell the client that its request takes too long. The handler runs on, as a write may be half done, but its answer is dropped."""
        self._answering = None
        response = self._pool.refuse(504, "Timeout", "Timeout: request did not complete within the allotted timeout")
        self._send_whole(Request("GET", ""), response, keep_alive=False)
        self._transport.close()

    @property
    def is_gone(self) -> bool:
        """Return whether no client would receive an answer."""
        return self._transport.is_closing()

    @property
    def is_stream(self) -> bool:
        """Return whether it goes on for as long as its client likes."""
        return self._handed_over or self._streaming

    def drain(self) -> None:
        """Close at once if no request is being answered, and the body of none is on its way."""
        if self._task is None and not (self._begun_at and self._reading_body):
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()
