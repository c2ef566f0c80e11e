"""A CRI client to which images of ours are never absent: asked to pull one, it builds it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tiphys.node.cri.client import DEFAULT_TIMEOUT, CriClient
from tiphys.node.cri.errors import Failed, NotFound
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.images.build import ImageError, ensure_images
from tiphys.node.images.recipe import REGISTRY


class BuildingCriClient(CriClient):
    """Pulls images of `tiphys.local` by building them from Debian packages, all others from their registry.

    `cache_dir` keeps the archives of images that were built.
    """

    def __init__(self, socket_path: str | Path, *, cache_dir: str | Path, timeout: float = DEFAULT_TIMEOUT) -> None:
        super().__init__(socket_path, timeout=timeout)
        self._cache_dir = Path(cache_dir)
        # One build at a time: several pods that start together mostly want the same image, and building fills a core.
        self._building = asyncio.Lock()

    async def pull_image(self, image: str, *, auth: pb.AuthConfig | None = None, sandbox_config: pb.PodSandboxConfig | None = None) -> str:
        """Fetch or build an image; returns the reference to create containers from."""
        if not image.startswith(f"{REGISTRY}/"):
            return await super().pull_image(image, auth=auth, sandbox_config=sandbox_config)
        try:
            async with self._building:
                (ready,) = await ensure_images([image], cache_dir=self._cache_dir, containerd_socket=self.socket_path)
        except KeyError as error:
            raise NotFound("PullImage", "NOT_FOUND", error.args[0]) from error
        except (ImageError, OSError) as error:
            raise Failed("PullImage", "UNKNOWN", str(error)) from error
        return ready.image_id
