"""Getting an image that a pod asks for: ours are built on the spot, all others come from their registry."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tiphys.images.build import ImageError, ensure_images
from tiphys.images.recipe import REGISTRY
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import Failed, NotFound
from tiphys.node.cri.pb import api_pb2 as pb


class ImagePuller:
    """Answers like `CriClient.pull_image`, errors included. `cache_dir` keeps the archives of images that were built."""

    def __init__(self, cri: CriClient, *, cache_dir: str | Path, containerd_socket: str | Path) -> None:
        self._cri = cri
        self._cache_dir = Path(cache_dir)
        self._socket = Path(containerd_socket)
        # One build at a time: several pods that start together mostly want the same image, and building fills a core.
        self._building = asyncio.Lock()

    async def pull_image(self, image: str, *, auth: pb.AuthConfig | None = None, sandbox_config: pb.PodSandboxConfig | None = None) -> str:
        """Fetch or build an image; returns the reference to create containers from. Raises CriError."""
        if not image.startswith(f"{REGISTRY}/"):
            return await self._cri.pull_image(image, auth=auth, sandbox_config=sandbox_config)
        try:
            async with self._building:
                (ready,) = await ensure_images([image], cache_dir=self._cache_dir, containerd_socket=self._socket)
        except KeyError as error:
            raise NotFound("PullImage", "NOT_FOUND", error.args[0]) from error
        except (ImageError, OSError) as error:
            raise Failed("PullImage", "UNKNOWN", str(error)) from error
        return ready.image_id
