"""`tiphys images`: build or load images without a registry."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import click

from tiphys.cli.errors import Failure
from tiphys.cli.options import data_dir_option, settings_of

T = TypeVar("T")


@click.group()
def command() -> None:
    """Build images from Debian packages, or load images from archives."""


@command.command()
@data_dir_option
@click.argument("names", nargs=-1)
def build(data_dir: Path, names: tuple[str, ...]) -> None:
    """Build images from Debian packages and import them (default: all known images). Images that exist are not built again."""
    from tiphys.daemon.images import build_images, known_images

    settings = settings_of(data_dir, {})
    for ready in _run(build_images(settings, names or known_images())):
        click.echo(f"{ready.name:<32} {ready.action:<9} {ready.seconds:.1f} s")


@command.command()
@data_dir_option
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def load(data_dir: Path, file: Path) -> None:
    """Import images from a Docker or OCI archive, or from standard input if FILE is "-" (docker save app:1 | tiphys images load -)."""
    from tiphys.daemon.images import load_images

    settings = settings_of(data_dir, {})
    if str(file) == "-":
        # The archive is read more than once, which a pipe does not allow.
        with tempfile.NamedTemporaryFile(prefix="tiphys-image-", suffix=".tar") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            names = _run(load_images(settings, Path(copy.name)))
    else:
        if not os.access(file, os.R_OK):
            raise Failure(f"cannot read {file}: give an archive made with docker save", code=1)
        names = _run(load_images(settings, file.absolute()))
    for name in names:
        click.echo(f"loaded {name}")


def _run(work: Awaitable[T]) -> T:
    from tiphys.daemon.images import ImagesError

    async def run() -> T:
        return await work

    try:
        return asyncio.run(run())
    except ImagesError as error:
        raise Failure(str(error), code=1) from error
