"""A registry on loopback that serves one image to those who know the password."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.e2e.node.cluster import BUSYBOX
from tests.e2e.runtime.machine import Machine

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Registry:
    """Content by digest; every repository and tag leads to the one image. `asked` has the logins of all requests, "" for none."""

    def __init__(self, logins: set[str]) -> None:
        self.logins = {f"Basic {b64encode(login.encode()).decode()}": login for login in logins}
        self.asked: list[str] = []
        self.port = 0
        self._blobs: dict[str, bytes] = {}
        self._media: dict[str, str] = {}
        self._top = ""

    @classmethod
    @asynccontextmanager
    async def running(cls, machine: Machine, directory: Path, *logins: str) -> AsyncIterator[Registry]:
        """A registry with an image like busybox, but with a digest of its own. Without logins it lets everybody in."""
        registry = cls(set(logins))
        registry.load(machine, directory)
        app = web.Application()
        app.router.add_get("/v2/", registry.root)
        app.router.add_get("/v2/{name:.+}/{kind:manifests|blobs}/{ref}", registry.content)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        registry.port = runner.addresses[0][1]
        try:
            yield registry
        finally:
            await runner.cleanup()

    def image(self, name: str = "team/app:1") -> str:
        return f"localhost:{self.port}/{name}"

    def load(self, machine: Machine, directory: Path) -> None:
        """Take busybox out of containerd, and give it another configuration."""
        archive = directory / "busybox.tar"
        socket = str(machine.supervisor.socket_path)
        subprocess.run(["ctr", "-a", socket, "-n", "k8s.io", "images", "export", str(archive), BUSYBOX], check=True)
        with tarfile.open(archive) as tar:
            files = {one.name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
        self._blobs = {f"sha256:{name.rpartition('/')[2]}": data for name, data in files.items() if name.startswith("blobs/")}
        top = json.loads(files["index.json"])["manifests"][0]
        manifest = json.loads(self._blobs[top["digest"]])
        while "manifests" in manifest:
            manifest = json.loads(self._blobs[manifest["manifests"][0]["digest"]])
        config = json.loads(self._blobs[manifest["config"]["digest"]])
        config.setdefault("config", {})["Labels"] = {"test": secrets.token_hex(8)}
        digest, size = self._add(json.dumps(config).encode())
        manifest["config"] |= {"digest": digest, "size": size}
        self._top, size = self._add(json.dumps(manifest | {"mediaType": MANIFEST}).encode())
        self._media[self._top] = MANIFEST

    def break_layer(self) -> str:
        """Serve other content for the first layer than its digest says; returns the digest."""
        manifest = json.loads(self._blobs[self._top])
        digest = f"sha256:{hashlib.sha256(secrets.token_bytes(8)).hexdigest()}"
        manifest["layers"][0]["digest"] = digest
        # containerd does not fetch a layer whose content, by the configuration, it has unpacked before.
        config = json.loads(self._blobs[manifest["config"]["digest"]])
        config["rootfs"]["diff_ids"][0] = digest
        manifest["config"]["digest"], manifest["config"]["size"] = self._add(json.dumps(config).encode())
        self._blobs[digest] = bytes(manifest["layers"][0]["size"])
        self.replace_manifest(json.dumps(manifest).encode())
        return digest

    def replace_manifest(self, data: bytes) -> None:
        """Serve this as the image's manifest."""
        self._top, _ = self._add(data)
        self._media[self._top] = MANIFEST

    def _add(self, data: bytes) -> tuple[str, int]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs[digest] = data
        return digest, len(data)

    async def root(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response({})

    async def content(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        ref = request.match_info["ref"]
        digest = ref if ref.startswith("sha256:") else self._top
        data = self._blobs.get(digest)
        if data is None:
            return web.json_response({"errors": [{"code": "NOT_FOUND"}]}, status=404)
        media = self._media.get(digest, "application/octet-stream")
        return web.Response(body=data, headers={"Content-Type": media, "Docker-Content-Digest": digest})

    def _refused(self, request: web.Request) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        self.asked.append(self.logins.get(header, ""))
        if not self.logins or header in self.logins:
            return None
        return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
