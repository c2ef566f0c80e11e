"""Images of a running cluster, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiphys.daemon.settings import ClusterSettings
from tiphys.images.archives import load_archive
from tiphys.images.build import ImageError, Ready, ensure_images
from tiphys.images.recipe import full_name, recipes
from tiphys.node.cri.errors import CriError
from tiphys.node.runtime.containerd import ContainerdSupervisor


class ImagesError(Exception):
    """Images are unavailable; the message says why and how to fix it."""


def known_images() -> list[str]:
    """Return the names of the images that can be built here."""
    return [full_name(name) for name in recipes()]


async def build_images(settings: ClusterSettings, names: Sequence[str]) -> list[Ready]:
    """Build the missing ones of these images and import them into the cluster's containerd. Raises ImagesError."""
    try:
        return await ensure_images(names, cache_dir=settings.image_cache, containerd_socket=_socket(settings))
    except KeyError as error:
        raise ImagesError(error.args[0]) from error
    except (ImageError, CriError, OSError) as error:
        raise ImagesError(str(error)) from error


async def load_images(settings: ClusterSettings, archive: Path) -> list[str]:
    """Import an archive; returns the names of its images. Raises ImagesError."""
    try:
        return await load_archive(archive, containerd_socket=_socket(settings))
    except (ImageError, CriError, OSError) as error:
        raise ImagesError(str(error)) from error


def _socket(settings: ClusterSettings) -> Path:
    supervisor = ContainerdSupervisor(settings.containerd_dir, settings.run_dir)
    if supervisor.find() is None:
        raise ImagesError(f"no cluster is running in {settings.data_dir}: start one with tiphys up")
    return supervisor.socket_path
