"""A client of the kubelet's server."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp


class Caller:
    """A client of the kubelet's server with one of the cluster's certificates."""

    def __init__(self, directory: Path, port: int, name: str = "apiserver-kubelet-client") -> None:
        self.context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        if name:
            self.context.load_cert_chain(directory / f"{name}.crt", directory / f"{name}.key")
        self.base = f"https://127.0.0.1:{port}"
        self.session = aiohttp.ClientSession()

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.base + path, ssl=self.context) as response:
            return response.status, await response.text()
