"""Credential providers: programs that are given an image on their standard input and answer with logins for it (KEP-2133).

Answers are kept for as long as they say, for the image, its registry or everything. A program that hangs is killed after a minute. What it
writes to its error output is in the log; its answer never is.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tiphys.aio.clock import Clock, monotonic
from tiphys.api.machinery import durations
from tiphys.node.container.image_names import split
from tiphys.node.metrics import families
from tiphys.node.pulls.keyring import Credential, Entries, matches
from tiphys.node.pulls.provider_config import Provider

log = logging.getLogger(__name__)

TIMEOUT = 60.0
_ALL = "<global>"
_LONGEST_ANSWER = 1 << 20


class _Login(msgspec.Struct, frozen=True):
    username: str = ""
    password: str = ""


class _Answer(msgspec.Struct, frozen=True):
    apiVersion: str
    kind: str
    cacheKeyType: str = ""
    cacheDuration: str | None = None
    auth: dict[str, _Login] | None = None


class _Failed(Exception):
    """The program gave no usable answer."""


class CredentialProviders:
    """All programs of a node."""

    def __init__(self, providers: Sequence[Provider], directory: Path, clock: Clock) -> None:
        self._programs = [_Program(one, directory, clock) for one in providers]

    async def entries(self, image: str) -> list[Entries]:
        """Return the logins for an image, by provider in the order of the configuration. A provider that fails supplies none."""
        return list(await asyncio.gather(*(one.entries(image) for one in self._programs)))


class _Program:
    def __init__(self, provider: Provider, directory: Path, clock: Clock) -> None:
        self._provider = provider
        self._path = directory / provider.name
        self._clock = clock
        self._held: dict[str, tuple[float, Entries]] = {}
        self._lock = asyncio.Lock()

    async def entries(self, image: str) -> Entries:
        host, rest = split(image)
        name = f"{host}/{rest}"
        if not any(matches(pattern, name) for pattern in self._provider.matchImages):
            return {}
        async with self._lock:
            now = self._clock.monotonic()
            self._held = {key: held for key, held in self._held.items() if held[0] > now}
            for key in (name, host, _ALL):
                if key in self._held:
                    return self._held[key][1]
            try:
                return await self._ask(name, host)
            except (_Failed, OSError) as error:
                families.PROVIDER_ERRORS.labels(self._provider.name).inc()
                log.warning("no logins from a credential provider", extra={"provider": self._provider.name, "error": str(error)})
                return {}

    async def _ask(self, name: str, host: str) -> Entries:
        provider = self._provider
        began = monotonic()
        try:
            answer = self._decoded(await self._output(name))
        finally:
            families.PROVIDER_SECONDS.labels(provider.name).observe(monotonic() - began)
        key = {"Image": name, "Registry": host, "Global": _ALL}.get(answer.cacheKeyType)
        if key is None:
            raise _Failed(f'cacheKeyType "{answer.cacheKeyType}" is not Image, Registry or Global')
        place = f'credential provider "{provider.name}"'
        entries = {
            server: Credential(username=login.username, password=login.password, place=place)
            for server, login in (answer.auth or {}).items()
        }
        try:
            seconds = provider.cache_seconds if answer.cacheDuration is None else durations.seconds(answer.cacheDuration)
        except ValueError:
            raise _Failed("cacheDuration is not a duration") from None
        if seconds > 0:
            self._held[key] = (self._clock.monotonic() + seconds, entries)
        return entries

    async def _output(self, name: str) -> bytes:
        provider = self._provider
        request = {"kind": "CredentialProviderRequest", "apiVersion": provider.apiVersion, "image": name}
        process = await asyncio.create_subprocess_exec(
            self._path,
            *provider.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **{one.name: one.value for one in provider.env}},
            limit=_LONGEST_ANSWER,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                output, errors = await process.communicate(msgspec.json.encode(request))
        except TimeoutError:
            raise _Failed(f"it did not end within {TIMEOUT:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise _Failed(f"exit status {process.returncode}: {errors.decode(errors='replace').strip()[-1000:]}")
        return output

    def _decoded(self, output: bytes) -> _Answer:
        try:
            answer = msgspec.json.decode(output, type=_Answer)
        except msgspec.MsgspecError:
            # The cause may quote the answer, and with it a password.
            raise _Failed("its answer is no CredentialProviderResponse") from None
        if answer.kind != "CredentialProviderResponse" or answer.apiVersion != self._provider.apiVersion:
            raise _Failed(f"it answered with {answer.kind} of {answer.apiVersion}, not {self._provider.apiVersion}")
        return answer
