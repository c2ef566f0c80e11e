"""Images for machines that reach no registry: built from Debian packages, cached, imported into our containerd once.

    python -m tiphys.images.build CACHE_DIR [NAME...]

builds without importing and shows how long each image took.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiphys.aio.clock import LoopClock
from tiphys.images.archives import import_archive, snapshotter_of
from tiphys.images.oci import Layer, architecture, layer, write_archive
from tiphys.images.packages import ImageError, Packages
from tiphys.images.python import add_python, interpreter_packages
from tiphys.images.recipe import File, Recipe, fingerprint, full_name, lineage, recipes, short_name
from tiphys.images.rootfs import Rootfs
from tiphys.node.cri.client import CriClient

__all__ = ["ImageError", "Ready", "build", "ensure_images"]

log = logging.getLogger(__name__)

CLOCK = LoopClock()
RECIPE_LABEL = "tiphys.local/recipe"


@dataclass(frozen=True)
class Ready:
    """An image that can be used, what had to be done for it, and how long that took in seconds."""

    name: str
    image_id: str
    action: Literal["present", "imported", "built"]
    seconds: float


@dataclass(frozen=True)
class Archive:
    """An image on disk that is ready to import."""

    path: Path
    image_id: str
    is_new: bool


async def ensure_images(names: Iterable[str], *, cache_dir: str | Path, containerd_socket: str | Path) -> list[Ready]:
    """Make images ("nginx" or "tiphys.local/nginx:1") available in a containerd, building what is not in `cache_dir`.

    Harmless to repeat: an image that containerd holds in the wanted edition costs one question. Raises KeyError for a name without a
    recipe, ImageError when an image cannot be built or imported, and CriError when containerd does not answer.
    """
    short_names = [short_name(name) for name in names]
    cache = Path(cache_dir)
    ready = []
    async with CriClient(containerd_socket) as cri:
        snapshotter = ""
        for name in dict.fromkeys(short_names):
            started = CLOCK.monotonic()
            archive = await asyncio.to_thread(build, name, cache)
            action: Literal["present", "imported", "built"] = "built" if archive.is_new else "present"
            if not await _holds(cri, full_name(name), archive.image_id):
                snapshotter = snapshotter or await snapshotter_of(cri)
                await asyncio.to_thread(import_archive, archive.path, str(containerd_socket), snapshotter)
                await _wait_held(cri, full_name(name), archive.image_id)
                action = "built" if archive.is_new else "imported"
            image = Ready(full_name(name), archive.image_id, action, CLOCK.monotonic() - started)
            log.info("image ready", extra={"image": image.name, "action": image.action, "seconds": round(image.seconds, 2)})
            ready.append(image)
    return ready


def build(name: str, cache: Path) -> Archive:
    """The archive of an image by its short name, from the cache if its recipe is unchanged. Blocks. Raises ImageError."""
    mark = fingerprint(name, architecture())
    path, note = cache / f"{name}.tar", cache / f"{name}.json"
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["recipe"] == mark and path.stat().st_size == noted["size"]:
            return Archive(path, noted["image_id"], is_new=False)
    except (OSError, ValueError, LookupError):
        pass
    cache.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(cache)
    workspace = Path(tempfile.mkdtemp(prefix=f".build-{os.getpid()}-", dir=cache))
    try:
        layers: list[Layer] = []
        held: set[str] = set()
        for index, part in enumerate(lineage(name)):
            tree = _tree(part, workspace / part, held, is_lowest=index == 0)
            held |= set(tree.nodes)
            tar = workspace / f"{index}.tar"
            tree.write(tar)
            layers.append(layer(tar))
        config = {key: value for part in lineage(name) for key, value in recipes()[part].config.items()}
        if "Entrypoint" in recipes()[name].config and "Cmd" not in recipes()[name].config:
            config.pop("Cmd", None)
        output = workspace / path.name
        image_id = write_archive(output, name=full_name(name), layers=layers, config=config, labels={RECIPE_LABEL: mark})
        described = workspace / note.name
        described.write_text(json.dumps({"recipe": mark, "image_id": image_id, "size": output.stat().st_size}), encoding="utf-8")
        # Each in one step, in case another process builds the image; between the steps the size does not fit, and it is built again.
        os.replace(output, path)
        os.replace(described, note)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return Archive(path, image_id, is_new=True)


def _remove_abandoned(cache: Path) -> None:
    """Work of builders that were killed."""
    for workspace in cache.glob(".build-*"):
        owner = workspace.name.split("-")[1]
        if not Path("/proc", owner).exists():
            shutil.rmtree(workspace, ignore_errors=True)


def _tree(name: str, workspace: Path, held: set[str], *, is_lowest: bool) -> Rootfs:
    recipe = recipes()[name]
    tree = Rootfs()
    if is_lowest:
        tree.skeleton()
    packages = Packages(workspace)
    names = [*recipe.packages, *(interpreter_packages() if recipe.python else [])]
    packages.add(names)
    for pattern in recipe.paths:
        matches = list(packages.find(pattern))
        if not matches:
            raise ImageError(f"image {name}: none of the packages {' '.join(recipe.packages)} has {pattern}")
        for path, source in matches:
            tree.copy(path, source)
    for path, pattern in recipe.concatenate.items():
        tree.file(path, b"".join(source.read_bytes().rstrip(b"\n") + b"\n" for _, source in packages.find(pattern)))
    if recipe.python:
        add_python(tree, recipe.python, packages, workspace)
    if tree.missing_libraries(packages, held):
        packages.add_libraries_of(names)
        lost = tree.missing_libraries(packages, held)
        if lost:
            raise ImageError(f"image {name}: the shared libraries {' '.join(lost)} are in no package that {' '.join(names)} name")
    _dress(tree, recipe)
    return tree


def _dress(tree: Rootfs, recipe: Recipe) -> None:
    for path, mode in recipe.directories.items():
        tree.directory(path, _octal(mode))
    for path, target in recipe.links.items():
        tree.link(path, target)
    for path, content in recipe.files.items():
        file = content if isinstance(content, File) else File(content)
        tree.file(path, file.text.encode(), _octal(file.mode))
    if recipe.applets:
        for applet in _applets(tree):
            if f"/usr/bin/{applet}" not in tree.nodes:
                tree.link(f"/usr/bin/{applet}", "busybox")


def _applets(tree: Rootfs) -> list[str]:
    program = tree.nodes["/usr/bin/busybox"].data or b""
    with tempfile.NamedTemporaryFile(prefix="busybox-", delete=False) as copy:
        copy.write(program)
    try:
        os.chmod(copy.name, 0o700)
        return subprocess.run([copy.name, "--list"], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"busybox does not list its applets: {error}") from error
    finally:
        os.unlink(copy.name)


def _octal(mode: int) -> int:
    """755 as in chmod, which YAML reads as a decimal number."""
    return int(str(mode), 8)


async def _holds(cri: CriClient, image: str, image_id: str) -> bool:
    status = await cri.image_status(image)
    return status is not None and status.id == image_id


async def _wait_held(cri: CriClient, image: str, image_id: str) -> None:
    # The CRI learns of an import through an event, a moment after ctr has returned.
    try:
        async with asyncio.timeout(20):
            while not await _holds(cri, image, image_id):
                await CLOCK.sleep(0.01)
    except TimeoutError as error:
        raise ImageError(f"containerd imported {image} but its CRI does not show it") from error


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for name in arguments[1:] or list(recipes()):
        started = CLOCK.monotonic()
        archive = build(short_name(name), Path(arguments[0]))
        size = archive.path.stat().st_size / 1e6
        print(
            f"{full_name(short_name(name)):32} {size:7.1f} MB {CLOCK.monotonic() - started:6.2f} s{'' if archive.is_new else '  (cached)'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
